"""Remove runs, their checkpoints, or caches."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lmlab.errors import ConfigError
from lmlab.outputs.entries import Entry, measure, size_text, table
from lmlab.outputs.kept_runs import find_kept, print_kept
from lmlab.outputs.queued import queued_runs
from lmlab.run_folder import RunFolder
from lmlab.storage.io import translate_write_errors
from lmlab.storage.lock import is_alive


def prune(
    root: Path,
    entries: Sequence[Entry],
    *,
    checkpoints_only: bool,
    force: bool = False,
    yes: bool,
    dry_run: bool,
) -> int:
    """Print runs or caches, ask for confirmation, and remove them or their checkpoints.

    Entries that a process is writing are skipped, even if it started after the question was asked.
    Runs that a job in Slurm's queue will write are kept, as are those to which a symbolic link
    leads out of ``root``. So are those that another study uses, and those that another run
    continues or names in a setting, unless ``force`` is given.

    Returns:
        The exit code: 1 if the answer was no.
    """
    entries = [entry for entry in entries if not entry.is_alive]
    folders = {
        entry.path: _saved_steps(entry.path) if checkpoints_only else [entry.path]
        for entry in entries
    }
    runs = [entry for entry in entries if entry.status != "cache" and folders[entry.path]]
    if runs:
        kept = find_kept(
            root, runs, queued_runs(root), force=force, checkpoints_only=checkpoints_only
        )
        print_kept(root, kept)
        entries = [entry for entry in entries if entry.path not in kept]
    targets = [(entry, folder) for entry in entries for folder in folders[entry.path]]
    if not targets:
        print("nothing to remove")
        return 0
    size = sum(measure(folder).bytes for _, folder in targets)
    for line in table(root, entries):
        print(line)
    kind = "checkpoints" if checkpoints_only else "entries"
    what = f"{len(targets)} {kind}, {size_text(size)}"
    if dry_run:
        print(f"would remove {what}")
        return 0
    if not yes and not confirm(f"remove {what}? [y/N] ", "prune"):
        print("removed nothing")
        return 1
    removed = 0
    for entry, folder in targets:
        if any(is_alive(lock) for lock in entry.path.glob("*.lock")):
            print(f"skipping {entry.path.relative_to(root)}: a process is writing it")
            continue
        removed += measure(folder).bytes
        remove_folder(root, folder)
    print(f"removed {size_text(removed)}")
    return 0


def confirm(question: str, command: str) -> bool:
    """Ask a question. Raises :class:`ConfigError` without a terminal."""
    try:
        return input(question).strip().lower() == "y"
    except EOFError:
        raise ConfigError(
            f"{command}: cannot ask for confirmation without a terminal", "add --yes or --dry-run"
        ) from None


def remove_folder(root: Path, folder: Path) -> None:
    """Remove a folder, its top-level files last: an interrupted removal leaves a visible run.

    wandb's files of the run are removed too: a new run of these settings gets another id in wandb.
    Nothing outside ``root``, the output folder, is removed, whatever the files of the run name.
    """
    named = RunFolder(folder).wandb_folder()
    wandb_folder = None if named is None else named.resolve()
    with translate_write_errors(folder):
        if wandb_folder and wandb_folder.is_dir() and wandb_folder.is_relative_to(root.resolve()):
            shutil.rmtree(wandb_folder)
        for child in folder.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
        shutil.rmtree(folder)


def _saved_steps(run: Path) -> list[Path]:
    """List the resumable checkpoints of a run, without its best weights."""
    return sorted((run / "checkpoints").glob("step_*"))
