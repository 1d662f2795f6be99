"""The runs that are kept although they were selected for removal, because something needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from lmlab.outputs.entries import Entry
from lmlab.outputs.references import find_references


def find_kept(
    root: Path,
    selected: Sequence[Entry],
    queued: Mapping[Path, Collection[Path]],
    *,
    force: bool,
    is_study_selected: Callable[[Path], bool] = lambda study: False,
    checkpoints_only: bool = False,
) -> dict[Path, str]:
    """Return the selected runs that are kept, with the reasons.

    A reference from a run or study that is removed too does not count, and a run that is kept
    keeps the run that it continues.

    Args:
        root: the output folder.
        selected: the runs that were selected for removal.
        queued: the runs that jobs in Slurm's queue will write, by study.
        force: whether references are ignored.
        is_study_selected: whether the records of the study in a folder are removed too.
        checkpoints_only: whether the removal is that of checkpoints. A reference that needs only
            the records of a run does not count then, and no reference vanishes.
    """
    kept = {}
    for entry in selected:
        if entry.is_alive:
            kept[entry.path] = "a process is writing it"
        elif any(entry.path.resolve() in runs for runs in queued.values()):
            kept[entry.path] = "its job is in the queue of Slurm; cancel it first"
        elif not entry.path.resolve().is_relative_to(root.resolve()):
            kept[entry.path] = f"a symbolic link leads to it; its folder is {entry.path.resolve()}"
    if force:
        return kept

    def vanishes(source: Path, remaining: Collection[Path]) -> bool:
        if checkpoints_only:
            return False
        is_selected = source.parent == root.resolve() and is_study_selected(source)
        return source in remaining or (is_selected and not keeps_any(root, source, kept))

    what = "its checkpoints" if checkpoints_only else "it"
    references = [
        reference
        for reference in find_references(root)
        if reference.needs_checkpoints or not checkpoints_only
    ]
    while True:
        remaining = {entry.path.resolve() for entry in selected if entry.path not in kept}
        blocked = {
            reference.run: reference.description
            for reference in references
            if reference.run in remaining and not vanishes(reference.source, remaining)
        }
        if not blocked:
            return kept
        for entry in selected:
            if entry.path.resolve() in blocked:
                kept[entry.path] = f"{blocked[entry.path.resolve()]}; --force deletes {what}"


def keeps_any(root: Path, study: Path, kept: Collection[Path]) -> bool:
    """Return whether a kept run is in a study.

    Args:
        root: the output folder.
        study: the resolved folder of the study.
        kept: paths of runs below ``root``, which may lead through symbolic links.
    """
    return any((root.resolve() / path.relative_to(root)).is_relative_to(study) for path in kept)


def print_kept(root: Path, kept: Mapping[Path, str]) -> None:
    """Print a line for each run that is kept."""
    for path, reason in kept.items():
        print(f"kept: {path.relative_to(root)}: {reason}")
