"""What refers to a run: sweeps of other studies, and runs that continue it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.run_folder import RunFolder
from lmlab.storage.io import read_json
from lmlab.study.sweep_folder import SweepFolder


@dataclasses.dataclass(frozen=True)
class Reference:
    """A reference to a run.

    Attributes:
        run: the folder of the run.
        source: the study or run that refers to it; the reference vanishes with this folder.
        description: the reference as the rest of "kept: ".
    """

    run: Path
    source: Path
    description: str


def find_references(root: Path) -> list[Reference]:
    """Find the references to runs from other studies, and from runs that name a ``parent``.

    Args:
        root: the output folder.
    """
    found = list(_from_sweeps(root))
    for meta in sorted(root.glob("**/meta.json")):
        run = RunFolder(meta.parent)
        content = run.meta()
        if content.get("parent"):
            parent = _started_in(content) / content["parent"]
            name = run.path.relative_to(root)
            found.append(Reference(parent.resolve(), run.path.resolve(), f"parent of {name}"))
    return found


def _from_sweeps(root: Path) -> Iterator[Reference]:
    for manifest in sorted(root.glob("*/sweeps/*/manifest.json")):
        sweep = SweepFolder(manifest.parent)
        study = sweep.study_folder.resolve()
        for entry in sweep.entries():
            run = entry.run.path.resolve()
            if not run.is_relative_to(study):
                yield Reference(run, study, f"study {study.name} uses it")
        for parent in _parents(manifest):
            yield Reference(parent.resolve(), study, f"study {study.name} continues it")


def _parents(manifest: Path) -> set[Path]:
    """Return the runs that the arms of a sweep continue, as typed: relative to here."""
    try:
        arms = read_json(manifest)["arms"]
    except (OSError, ValueError, KeyError):
        return set()
    return {Path(arm["parent"]) for arm in arms if arm.get("parent")}


def _started_in(meta: dict[str, Any]) -> Path:
    """Return the folder in which a run was started: paths in its settings are relative to it."""
    sessions = meta.get("sessions") or [{}]
    return Path(sessions[0].get("folder", "."))
