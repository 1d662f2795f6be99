"""What lies in the output folder: runs and caches, with their sizes and ages."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmlab.run_folder import RunFolder
from lmlab.storage.lock import is_alive

AGE_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A run or cache on disk.

    Attributes:
        path: its folder.
        status: of a run; ``cache`` for a cache.
        bytes: disk use.
        age_seconds: since anything in it was written.
        detail: steps and loss of a run.
        is_alive: whether a process is writing it.
    """

    path: Path
    status: str
    bytes: int
    age_seconds: float
    detail: str
    is_alive: bool


def find_runs(root: Path) -> list[Entry]:
    """The run folders below ``root``, sorted by path: those with a config, meta and status."""
    entries = []
    for config in sorted(root.glob("**/config.yaml")):
        run = RunFolder(config.parent)
        status = run.status()
        if "cache" in config.relative_to(root).parts[:1] or not status or not run.meta():
            continue
        detail = f"step {status.get('step', 0):,} of {status.get('steps', 0):,}"
        evaluated = run.rows("validation")
        if evaluated:
            detail += f", validation loss {evaluated[-1]['loss']:.4f}"
        alive = is_alive(run.path / "run.lock")
        entries.append(measure(run.path, str(status.get("status", "?")), detail, alive))
    return entries


def find_caches(root: Path) -> list[Entry]:
    """What lies in the cache: each corpus, tokenizer and pair of token files can be made again.

    While a run is being written, every cache counts as alive: which of them it reads is not known.
    """
    entries = []
    run_is_alive = any(run.is_alive for run in find_runs(root))
    for kind in sorted(root.glob("cache/*")):
        for folder in sorted(path for path in kind.iterdir() if path.is_dir()):
            alive = run_is_alive or any(is_alive(lock) for lock in folder.glob("*.lock"))
            entries.append(measure(folder, "cache", kind.name, alive))
    return entries


def measure(path: Path, status: str = "", detail: str = "", alive: bool = False) -> Entry:
    """Count the files below ``path``, and find the newest."""
    stats = list(_file_stats(path))
    newest = max((stat.st_mtime for stat in stats), default=0.0) or time.time()
    size = sum(stat.st_size for stat in stats)
    return Entry(path, status, size, max(0.0, time.time() - newest), detail, alive)


def _file_stats(path: Path) -> Iterator[os.stat_result]:
    for folder, _, names in os.walk(path):
        for name in names:
            # A run that is being written replaces its files while they are counted.
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(Path(folder, name))


def select(
    entries: Sequence[Entry], statuses: Sequence[str], older_than_seconds: float
) -> list[Entry]:
    """The entries that have one of ``statuses`` (empty: any) and are at least so old."""
    return [
        entry
        for entry in entries
        if (not statuses or entry.status in statuses) and entry.age_seconds >= older_than_seconds
    ]


def show(root: Path, entries: Sequence[Entry]) -> None:
    """Print runs and caches with their state, size, age and progress, and the sum of sizes."""
    if not entries:
        print(f"nothing found in {root}")
        return
    for line in table(root, entries):
        print(line)
    print(f"{len(entries)} entries, {size_text(sum(entry.bytes for entry in entries))}")


def table(root: Path, entries: Sequence[Entry]) -> Iterator[str]:
    """One line an entry, below a line of titles."""
    names = [str(entry.path.relative_to(root)) for entry in entries]
    width = max(map(len, names))
    yield f"{'NAME':<{width}}  {'STATUS':<11}  {'SIZE':>9}  {'AGE':>6}  PROGRESS"
    for name, entry in zip(names, entries, strict=True):
        yield (
            f"{name:<{width}}  {entry.status:<11}  {size_text(entry.bytes):>9}  "
            f"{_age(entry.age_seconds):>6}  {entry.detail}"
        )


def size_text(number: float) -> str:
    """A number of bytes for a person."""
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
