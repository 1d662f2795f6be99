"""Runs and caches below the output folder, with their sizes and ages."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmlab.console.formatting import format_count
from lmlab.outputs.queued import queued_runs
from lmlab.run_folder import RunFolder, early_stop
from lmlab.storage.lock import is_alive
from lmlab.storage.record_fields import with_losses
from lmlab.study.named_runs import folders_with

AGE_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A run or cache on disk.

    Attributes:
        path: the folder.
        status: status of a run; ``cache`` for a cache.
        bytes: disk usage.
        age_seconds: time since the newest file was written.
        detail: progress and loss of a run; kind of a cache.
        is_alive: whether a process is writing it.
        tags: the user's tags of a run.
    """

    path: Path
    status: str
    bytes: int
    age_seconds: float
    detail: str
    is_alive: bool
    tags: tuple[str, ...] = ()


def find_runs(root: Path) -> list[Entry]:
    """Find run folders, which have a config and meta or status; sorted by path.

    Folders behind symbolic links are found too, each once.
    """
    entries = []
    for folder in folders_with(root, "config.yaml"):
        run = RunFolder(folder)
        status, meta = run.status(), run.meta()
        if not status and not meta:
            continue
        detail = f"step {status.get('step', 0):,} of {status.get('steps', 0):,}"
        detail = early_stop(status) or detail
        rows, num_damaged = run.scan_rows()
        evaluated = with_losses(run.path / "metrics.jsonl", rows, "validation")
        if evaluated:
            detail += f", validation loss {evaluated[-1]['loss']:.4f}"
        if num_damaged:
            detail += f", {format_count(num_damaged, 'row')} cannot be read"
        detail += "" if meta else ", meta.json is missing or damaged"
        tags = tuple(run.annotations()[1])
        detail += f", [{', '.join(tags)}]" if tags else ""
        alive = is_alive(run.path / "run.lock")
        entry = measure(run.path, str(status.get("status", "?")), detail, alive)
        entries.append(dataclasses.replace(entry, tags=tags))
    return entries


def find_caches(root: Path) -> list[Entry]:
    """Find cached corpora, tokenizers and token files, all of which can be regenerated.

    While any run is being written, every cache counts as alive, since the run may read it. While
    jobs are in Slurm's queue, so does the code that they will run.
    """
    entries = []
    run_is_alive = any(run.is_alive for run in find_runs(root))
    has_jobs = bool(queued_runs(root))
    for kind in sorted(root.glob("cache/*")):
        for folder in sorted(path for path in kind.iterdir() if path.is_dir()):
            is_needed = run_is_alive or (has_jobs and kind.name == "code")
            alive = is_needed or any(is_alive(lock) for lock in folder.glob("*.lock"))
            entries.append(measure(folder, "cache", kind.name, alive))
    return entries


def measure(path: Path, status: str = "", detail: str = "", alive: bool = False) -> Entry:
    """Add up the sizes of the files below ``path``, and find the age of the newest."""
    stats = list(_file_stats(path))
    newest = max((stat.st_mtime for stat in stats), default=0.0) or time.time()
    size = sum(stat.st_size for stat in stats)
    return Entry(path, status, size, max(0.0, time.time() - newest), detail, alive)


def _file_stats(path: Path) -> Iterator[os.stat_result]:
    for folder, _, names in os.walk(path):
        for name in names:
            # A live run may replace files during the walk.
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(Path(folder, name))


def select(
    entries: Sequence[Entry], statuses: Sequence[str], older_than_seconds: float
) -> list[Entry]:
    """Select entries by status (empty: any) and minimum age."""
    return [
        entry
        for entry in entries
        if (not statuses or entry.status in statuses) and entry.age_seconds >= older_than_seconds
    ]


def print_entries(root: Path, entries: Sequence[Entry]) -> None:
    """Print a table of runs and caches, and the total of their sizes."""
    if not entries:
        print(f"no runs or caches in {root}")
        return
    for line in table(root, entries):
        print(line)
    print(
        f"{format_count(len(entries), 'entry', 'entries')}, "
        f"{size_text(sum(entry.bytes for entry in entries))}"
    )


def table(root: Path, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a header, then one line per entry."""
    names = [str(entry.path.relative_to(root)) for entry in entries]
    width = max(map(len, names))
    yield f"{'NAME':<{width}}  {'STATUS':<11}  {'SIZE':>9}  {'AGE':>6}  PROGRESS"
    for name, entry in zip(names, entries, strict=True):
        yield (
            f"{name:<{width}}  {entry.status:<11}  {size_text(entry.bytes):>9}  "
            f"{_age(entry.age_seconds):>6}  {entry.detail}"
        )


def size_text(number: float) -> str:
    """Format a number of bytes with a decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _age(seconds: float) -> str:
    for unit, length in reversed(AGE_UNITS.items()):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now"
