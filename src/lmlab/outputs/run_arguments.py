"""Runs as a command line names them: run folders, folders that contain some, and globs of these."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from lmlab.errors import DataError
from lmlab.outputs.entries import folders_with
from lmlab.run_folder import RunFolder

_HELP = "pass run folders or folders of studies"


def find_run_folders(paths: Iterable[str]) -> list[RunFolder]:
    """Return the runs that paths lead to, each once and in the order of the paths.

    Args:
        paths: run folders, folders with run folders below them, or globs of such folders.

    Raises:
        DataError: a folder does not exist, a glob matches none, or one contains no run.
    """
    found: dict[Path, RunFolder] = {}
    for path in paths:
        runs = [run for folder in _folders(path) for run in _runs_in(folder)]
        if not runs:
            raise DataError(f"{path}: contains no run", _HELP)
        for run in runs:
            found.setdefault(run.path.resolve(), run)
    return list(found.values())


def _folders(path: str) -> Iterator[Path]:
    if Path(path).is_dir():
        yield Path(path)
        return
    matches = [Path(match) for match in sorted(glob.glob(path)) if Path(match).is_dir()]
    if not matches:
        kind = "matches no folder" if glob.has_magic(path) else "no such folder"
        raise DataError(f"{path}: {kind}", _HELP)
    yield from matches


def _runs_in(folder: Path) -> Iterator[RunFolder]:
    for path in folders_with(folder, "config.yaml"):
        run = RunFolder(path)
        if run.status() and run.meta():
            yield run
