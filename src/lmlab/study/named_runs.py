"""Runs as a command line names them: run folders, folders that contain some, and globs of these."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lmlab.errors import DataError
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


def folders_with(root: Path, name: str) -> list[Path]:
    """Return the folders below ``root``, apart from its caches, that contain a file; sorted.

    Symbolic links are followed. A folder to which several paths lead is returned once, by the path
    with the fewest links.
    """
    found: dict[str, Path] = {}
    waiting = [root]
    while waiting:
        links = []
        for folder in waiting:
            for path, names, files in os.walk(folder):
                here = Path(path)
                if here == root and "cache" in names and not _holds_runs(here / "cache"):
                    names.remove("cache")
                if name in files:
                    found.setdefault(os.path.realpath(here), here)
                links += [here / one for one in names if (here / one).is_symlink()]
        seen = {os.path.realpath(path) for path in found.values()}
        waiting = [one for one in sorted(links) if _leads_on(one, root, seen)]
    return sorted(found.values())


def _holds_runs(folder: Path) -> bool:
    """Whether a folder is an arm, which may be called cache, rather than the caches."""
    return any(folder.glob("*/config.yaml"))


def _leads_on(link: Path, root: Path, seen: set[str]) -> bool:
    """Whether a link leads to a folder that is not visited yet, and is no circle."""
    real = os.path.realpath(link)
    parents = {os.path.realpath(parent) for parent in link.parents}
    return (
        real not in seen
        and real not in parents
        and not Path(real).is_relative_to(os.path.realpath(root))
    )
