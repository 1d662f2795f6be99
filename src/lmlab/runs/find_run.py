"""Find the folder of a run: of this study, of another, or of an earlier version of the code."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lmlab.build.identity import (
    canonical_form,
    earlier_forms,
    identity_changes,
    is_same_run,
    numeric_environment_of,
    without_code,
)
from lmlab.build.run_spec import RunSpec
from lmlab.build.user_code import user_code
from lmlab.run_folder import (
    FINISHED,
    REUSED_KEY,
    RunFolder,
    choose_folder,
    runs_beside,
    sessions_of,
    utc_now,
)
from lmlab.runs.run_register import find_registered, registered_runs
from lmlab.runtime.device import Device
from lmlab.runtime.numeric_environment import environment_changes, environment_of_session

log = logging.getLogger("lmlab.run")


def locate(spec: RunSpec, identity: dict[str, Any]) -> tuple[RunFolder, list[str]]:
    """Find the folder of a run: that of a matching run of any study, else the one of its names.

    Returns:
        The folder; and, where another configuration occupies the folder of its names, the
        differences.
    """
    if spec.reuse:
        forms = [*earlier_forms(identity), canonical_form(identity)]
        found = find_registered(spec.output_root, identity, is_same_run, forms)
        if found is not None:
            return found, []
    folder, different = choose_folder(spec.named_folder, identity, is_same_run)
    if spec.reuse_across_code and not folder.meta():
        across = _find_across_code(spec, identity)
        if across is not None:
            return across, []
    occupant = RunFolder(spec.named_folder).meta()
    if different and occupant.get("identity") is not None:
        different = identity_changes(occupant, identity)
    return folder, different


def find_run(spec: RunSpec, identity: dict[str, Any], device: Device) -> tuple[RunFolder, bool]:
    """Return the folder of a run, and whether the run is finished; say what is unexpected."""
    folder, different = locate(spec, identity)
    changes = different_code(folder, identity)
    if identity.get("lmlab"):
        log.info(
            "lmlab differs from its record of numerics in %s: its runs are other runs",
            ", ".join(identity["lmlab"]),
        )
    if different:
        log.info(
            "%s is in use by another configuration; using %s (differences: there -> here)\n  %s",
            spec.named_folder,
            folder.path,
            "\n  ".join(different),
        )
    elif changes:
        log.info(
            "reuse_across_code=true: taking %s, a run of other code (there -> here): %s",
            folder.path,
            "; ".join(changes),
        )
        note_other_code(folder, spec, changes)
    elif folder.path != spec.named_folder:
        log.info("reusing the run of the same configuration in %s", folder.path)
    _mention_environment(folder, device)
    return folder, folder.status().get("status") in FINISHED


def holds_run(
    meta: Mapping[str, Any], identity: Mapping[str, Any], across_code: bool = False
) -> bool:
    """Whether a folder's ``meta.json`` is that of a run, or of one that differs in code only."""
    if is_same_run(meta, identity):
        return True
    existing = meta.get("identity")
    if not across_code or not isinstance(existing, Mapping):
        return False
    return is_same_run({**meta, "identity": without_code(existing)}, without_code(identity))


def different_code(folder: RunFolder, identity: Mapping[str, Any]) -> list[str]:
    """List the code in which an existing run differs from the one with ``identity``."""
    meta = folder.meta()
    if meta.get("identity") is None or is_same_run(meta, identity):
        return []
    return identity_changes(meta, identity)


def note_other_code(folder: RunFolder, spec: RunSpec, changes: list[str]) -> None:
    """Record in ``meta.json`` that a run was taken for one of other code, for reports."""
    entry = {"study": spec.study, "arm": spec.arm, "seed": spec.seed, "changes": changes}
    noted = folder.meta().get(REUSED_KEY)
    noted = noted if isinstance(noted, list) else []
    known = [{**one, "time": None} for one in noted if isinstance(one, dict)]
    if entry | {"time": None} not in known:
        folder.update_meta({REUSED_KEY: [*noted, entry | {"time": utc_now()}]})


def changed_callbacks(spec: RunSpec, folder: RunFolder) -> list[str]:
    """Return the modules of callbacks that have changed since a run called them."""
    sessions = sessions_of(folder.meta())
    recorded = sessions[-1].get("packages") if sessions else None
    if not isinstance(recorded, Mapping):
        return []
    now = user_code({"callbacks": spec.settings.get("callbacks")})
    return [name for name in now if name in recorded and recorded[name] != now[name]]


def _find_across_code(spec: RunSpec, identity: Mapping[str, Any]) -> RunFolder | None:
    """Find a run that differs in code only; finished ones first, then the newest."""
    found = []
    for run in _candidates(spec):
        meta = run.meta()
        if holds_run(meta, identity, across_code=True):
            times = [str(session.get("time", "")) for session in sessions_of(meta)]
            is_finished = run.status().get("status") in FINISHED
            found.append((is_finished, max(times, default=""), str(run.path), run))
    return max(found, key=lambda one: one[:3])[3] if found else None


def _candidates(spec: RunSpec) -> Iterator[RunFolder]:
    yield RunFolder(spec.named_folder)
    yield from runs_beside(spec.named_folder)
    if spec.reuse:
        yield from registered_runs(Path(spec.output_root))


def _mention_environment(folder: RunFolder, device: Device) -> None:
    """Say what decides the last bits and has changed since the last session of a run."""
    sessions = sessions_of(folder.meta())
    if not sessions:
        return
    before = environment_of_session(sessions[-1])
    changes = environment_changes(before, numeric_environment_of(device))
    if changes:
        log.info(
            "%s was computed in another environment, which may change last bits (there -> here): "
            "%s",
            folder.path,
            "; ".join(changes),
        )
