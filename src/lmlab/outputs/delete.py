"""Delete chosen runs, and keep those that something else needs."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lmlab.console.formatting import format_count
from lmlab.errors import ConfigError, DataError, suggestion
from lmlab.outputs.entries import Entry, find_runs, measure, size_text, table
from lmlab.outputs.kept_runs import find_kept, keeps_any, print_kept
from lmlab.outputs.prune import confirm, remove_folder
from lmlab.outputs.queued import queued_runs, studies_in
from lmlab.run_folder import RunFolder
from lmlab.storage.lock import is_alive
from lmlab.study.index_page import write_index

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which runs to delete; all conditions must hold.

    Attributes:
        paths: folders of runs, arms or studies; empty for all.
        studies: patterns of study names; empty for all.
        losses: conditions on the last validation loss, such as ``>3.5``. A loss that is not
            finite counts as larger than any number; a run without a loss meets no condition.
    """

    paths: Sequence[Path] = ()
    studies: Sequence[str] = ()
    losses: Sequence[tuple[str, float]] = ()

    def matches(self, root: Path, entry: Entry) -> bool:
        """Return whether a run is selected."""
        run = entry.path.resolve()
        study = entry.path.relative_to(root).parts[0]
        return (
            (not self.paths or any(run.is_relative_to(path.resolve()) for path in self.paths))
            and (not self.studies or any(fnmatch.fnmatchcase(study, s) for s in self.studies))
            and self._matches_loss(entry.path)
        )

    def covers(self, study: Path) -> bool:
        """Return whether a complete study is selected, with its sweeps and reports."""
        if self.losses:
            return False
        by_path = not self.paths or any(study.is_relative_to(path.resolve()) for path in self.paths)
        by_name = not self.studies or any(fnmatch.fnmatchcase(study.name, s) for s in self.studies)
        return by_path and by_name

    def _matches_loss(self, run: Path) -> bool:
        if not self.losses:
            return True
        rows = RunFolder(run).evaluations()
        if not rows:
            return False
        loss = float(rows[-1]["loss"])
        value = loss if math.isfinite(loss) else math.inf
        return all(_COMPARISONS[sign](value, number) for sign, number in self.losses)


def parse_targets(targets: Sequence[str], study: str, root: Path) -> Selection:
    """Read paths and conditions.

    Args:
        targets: paths, and conditions such as ``loss>3.5``.
        study: comma-separated patterns of study names.
        root: the output folder.

    Raises:
        ConfigError: nothing is selected, or a condition is invalid.
        DataError: a path or study does not exist, or is outside ``root``.
    """
    paths, losses = [], []
    for target in targets:
        condition = re.fullmatch(r"loss\s*(<=|>=|<|>)\s*(\S+)", target)
        if condition:
            losses.append((condition[1], _number(target, condition[2])))
        elif re.match(r"loss\s*[=!<>]", target):
            raise ConfigError(f"{target}: expected loss<X, loss<=X, loss>X or loss>=X")
        else:
            paths.append(_path(target, root))
    studies = [part for part in study.split(",") if part]
    if not (paths or losses or studies):
        raise ConfigError(
            "delete: nothing is selected", "name folders, study=NAME or a condition 'loss>X'"
        )
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name != "cache")
    for pattern in studies:
        if not fnmatch.filter(names, pattern):
            raise DataError(f"study={pattern}: no such study in {root}", suggestion(pattern, names))
    return Selection(paths, studies, losses)


def _number(target: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{target}: expected a number after the comparison") from None


def _path(target: str, root: Path) -> Path:
    path = Path(target)
    if not path.exists() and (root / target).exists():
        path = root / target
    if not path.is_dir():
        raise DataError(f"{target}: no such folder", "name a run, an arm or a study")
    try:
        parts = path.resolve().relative_to(root.resolve()).parts
    except ValueError:
        parts = ()
    if not parts:
        raise DataError(f"{target}: expected a folder in {root}", "set --root to its output folder")
    if parts[0] == "cache":
        raise DataError(f"{target}: expected runs, found a cache", "use outputs prune --caches")
    return path


def delete(root: Path, selection: Selection, *, force: bool, yes: bool, dry_run: bool) -> int:
    """Print the selected runs, ask for confirmation, and delete them.

    Runs that a process writes, or that a job in Slurm's queue will write, are kept, as are those to
    which a symbolic link leads out of ``root``. So are those that another study uses, and those
    that another run continues or names in a setting, unless ``force`` is given.

    Returns:
        The exit code: 1 if a selected run was kept, or the answer was no.
    """
    everything = find_runs(root)
    selected = [entry for entry in everything if selection.matches(root, entry)]
    queued = queued_runs(root)
    kept = find_kept(root, selected, queued, force=force, is_study_selected=selection.covers)
    targets = [entry for entry in selected if entry.path not in kept]
    with_runs = {root.resolve() / entry.path.relative_to(root).parts[0] for entry in everything}
    studies = [
        study
        for study in studies_in(root)
        if selection.covers(study)
        and (study in with_runs or (study / "sweeps").is_dir())
        and study not in queued
        and not study.is_symlink()
        and not keeps_any(root, study, kept)
    ]
    print_kept(root, kept)
    if not targets and not studies:
        print("nothing to delete")
        return 1 if kept else 0
    if targets:
        for line in table(root, targets):
            print(line)
    folders = [*studies, *(e.path for e in targets if not _is_below_any(e.path, studies))]
    size = sum(measure(folder).bytes for folder in folders)
    what = f"{format_count(len(targets), 'run')}, {size_text(size)}"
    if studies:
        what += f", and the records of {', '.join(study.name for study in studies)}"
    if dry_run:
        print(f"would delete {what}")
        return 1 if kept else 0
    if not yes and not confirm(f"delete {what}? [y/N] ", "delete"):
        print("deleted nothing")
        return 1
    freed = [_delete_folder(root, folder) for folder in folders]
    if studies and (root / "index.html").exists():
        write_index(root)
    print(f"freed {size_text(sum(filter(None, freed)))}")
    return 1 if kept or None in freed else 0


def _is_below_any(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in folders)


def _delete_folder(root: Path, folder: Path) -> int | None:
    """Delete a run or study, then folders above it that are empty.

    Returns:
        The freed bytes. None if the folder was kept, because a process has started to write in it
        since the user was asked.
    """
    if any(is_alive(lock) for lock in folder.glob("**/run.lock")):
        print(f"kept: {folder.resolve().relative_to(root.resolve())}: a process is writing it")
        return None
    size = measure(folder).bytes
    remove_folder(root, folder)
    parent = folder.resolve().parent
    while parent != root.resolve() and not any(parent.iterdir()):
        parent.rmdir()
        parent = parent.parent
    return size
