"""References to runs: from sweeps of other studies, and from runs that continue or use them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.config.run_config import AUTO_PARENT
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.storage.fields import OBJECTS, PATH, or_null, read_fields, warn_once
from lmlab.storage.plain_yaml import load_plain
from lmlab.study.named_runs import folders_with
from lmlab.study.sweep_folder import SweepFolder

_NO_PATHS = ("parent", "output_root", "notes")  # of a run; its meta.json has the parent


@dataclasses.dataclass(frozen=True)
class Reference:
    """A reference to a run.

    Attributes:
        run: the folder of the run.
        source: the study or run that refers to it; the reference vanishes with this folder.
        description: the reason to keep the run, such as ``study norms uses it``.
        needs_checkpoints: whether the source may still read the checkpoints of the run. A study
            that uses a finished run reads its records only.
    """

    run: Path
    source: Path
    description: str
    needs_checkpoints: bool = True


def find_references(root: Path) -> list[Reference]:
    """Find the references to runs from other studies, and from runs whose settings name files.

    Args:
        root: the output folder.
    """
    found = list(_from_sweeps(root))
    for folder in folders_with(root, "meta.json"):
        found += _from_run(RunFolder(folder), root)
    return found


def _from_run(run: RunFolder, root: Path) -> Iterator[Reference]:
    """Yield what a run continues, and the runs in which its tokenizer, weights or texts are."""
    meta = run.meta()
    folder, source = _started_in(meta), run.path.resolve()
    name = run.path.relative_to(root)
    if meta.get("parent"):
        # A finished run reads the checkpoints of its parent no more.
        is_finished = run.status().get("status") in FINISHED
        parent = (folder / meta["parent"]).resolve()
        yield Reference(parent, source, f"parent of {name}", needs_checkpoints=not is_finished)
    for key, text in _texts_in(_settings(run)):
        try:
            path = (folder / Path(text).expanduser()).resolve()
            owner = _run_around(path, root.resolve())
        except (OSError, ValueError, RuntimeError):  # a text that is no path
            continue
        if owner is not None and owner != source:
            yield Reference(owner, source, f"{key} of {name}")


def _settings(run: RunFolder) -> dict[str, Any]:
    try:
        content = load_plain(run.config.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        warn_once(f"{run.config}: cannot be read ({error}); the runs that it names are unknown")
        return {}
    found = content if isinstance(content, dict) else {}
    return {key: value for key, value in found.items() if key not in _NO_PATHS}


def _texts_in(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in nested settings, with their dotted keys."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts_in(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item, key)


def _run_around(path: Path, root: Path) -> Path | None:
    """Return the run folder in ``root`` that is ``path`` or contains it."""
    while path.is_relative_to(root) and path != root:
        if (path / "meta.json").exists():
            return path
        path = path.parent
    return None


def _from_sweeps(root: Path) -> Iterator[Reference]:
    for manifest in sorted(root.glob("*/sweeps/*/manifest.json")):
        sweep = SweepFolder(manifest.parent)
        study = sweep.study_folder.resolve()
        for entry in sweep.entries():
            run = entry.run.path.resolve()
            if not run.is_relative_to(study):
                yield Reference(run, study, f"study {study.name} uses it", needs_checkpoints=False)
        for parent in _parents(manifest):
            yield Reference(parent.resolve(), study, f"study {study.name} continues it")


def _parents(manifest: Path) -> set[Path]:
    """Return the runs that the arms of a sweep continue, as typed: relative to here."""
    content = read_fields(manifest, {"arms": OBJECTS, "arms[].parent": or_null(PATH)})
    arms = content.get("arms", [])
    return {Path(arm["parent"]) for arm in arms if arm.get("parent") not in (None, "", AUTO_PARENT)}


def _started_in(meta: dict[str, Any]) -> Path:
    """Return the folder in which a run was started: paths in its settings are relative to it."""
    sessions = meta.get("sessions") or [{}]
    return Path(sessions[0].get("folder") or ".")
