"""Removing runs, their checkpoints, or caches."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lmlab.errors import ConfigError
from lmlab.outputs.entries import Entry, measure, size_text, table
from lmlab.storage.io import translate_write_errors
from lmlab.storage.lock import is_alive


def prune(
    root: Path, chosen: Sequence[Entry], *, checkpoints_only: bool, yes: bool, dry_run: bool
) -> int:
    """Remove runs or caches, or the resumable states of runs, after showing them and asking.

    What a process is writing is never touched, also when it began while the question stood.

    Returns:
        The exit code: 1 where the answer was no.
    """
    chosen = [entry for entry in chosen if not entry.is_alive]
    targets = [
        (entry, folder)
        for entry in chosen
        for folder in (_saved_steps(entry.path) if checkpoints_only else [entry.path])
    ]
    if not targets:
        print("nothing to remove")
        return 0
    size = sum(measure(folder).bytes for _, folder in targets)
    for line in table(root, chosen):
        print(line)
    what = f"{len(targets)} checkpoints of them" if checkpoints_only else "them"
    if dry_run:
        print(f"would remove {what}, {size_text(size)}")
        return 0
    if not yes and not _agrees(f"remove {what}, {size_text(size)}? [y/N] "):
        print("nothing was removed")
        return 1
    removed = 0
    for entry, folder in targets:
        if any(is_alive(lock) for lock in entry.path.glob("*.lock")):
            print(f"{entry.path.relative_to(root)} is being written now, and stays")
            continue
        removed += measure(folder).bytes
        _remove(folder)
    print(f"removed {size_text(removed)}")
    return 0


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() == "y"
    except EOFError:
        told = "prune: there is nobody to ask (no terminal): add --yes or --dry-run"
        raise ConfigError(told) from None


def _remove(folder: Path) -> None:
    """Remove a folder; what makes it a run goes last, so that a broken removal can be repeated."""
    with translate_write_errors(folder):
        for child in folder.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
        shutil.rmtree(folder)


def _saved_steps(run: Path) -> list[Path]:
    """A run's resumable states; its best weights are not among them."""
    return sorted((run / "checkpoints").glob("step_*"))
