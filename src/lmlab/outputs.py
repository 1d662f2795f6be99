"""``python -m lmlab.outputs``: list the runs and caches on disk, and remove what is not needed."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmlab.errors import ConfigError, DataError, UserError, did_you_mean
from lmlab.lock import is_alive
from lmlab.run_folder import STATUSES, RunFolder

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_EXAMPLES = """\
examples:
  python -m lmlab.outputs                                      list runs and caches
  python -m lmlab.outputs prune --status failed,diverged       show what would go, and ask
  python -m lmlab.outputs prune --older-than 30d --yes         remove without asking
  python -m lmlab.outputs prune --checkpoints --status done    keep the best weights and all records
  python -m lmlab.outputs prune --caches                       tokenizers and token files
"""


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
        entries.append(_entry(run.path, str(status["status"]), detail, alive))
    return entries


def find_caches(root: Path) -> list[Entry]:
    """What lies in the cache: each corpus, tokenizer and pair of token files can be made again."""
    entries = []
    for kind in sorted(root.glob("cache/*")):
        for folder in sorted(path for path in kind.iterdir() if path.is_dir()):
            alive = any(is_alive(lock) for lock in folder.glob("*.lock"))
            entries.append(_entry(folder, "cache", kind.name, alive))
    return entries


def _entry(path: Path, status: str, detail: str, alive: bool) -> Entry:
    stats = [file.stat() for file in path.rglob("*") if file.is_file()]
    newest = max((stat.st_mtime for stat in stats), default=path.stat().st_mtime)
    size = sum(stat.st_size for stat in stats)
    return Entry(path, status, size, max(0.0, time.time() - newest), detail, alive)


def list_outputs(root: Path) -> None:
    """Print every run and cache with its size, age and state, and the sum."""
    entries = [*find_runs(root), *find_caches(root)]
    if not entries:
        print(f"{root} holds no runs")
        return
    for line in _table(root, entries):
        print(line)
    print(f"{len(entries)} entries, {_size(sum(entry.bytes for entry in entries))}")


def _table(root: Path, entries: Sequence[Entry]) -> Iterator[str]:
    names = [str(entry.path.relative_to(root)) for entry in entries]
    width = max(map(len, names))
    for name, entry in zip(names, entries, strict=True):
        yield (
            f"{name:<{width}}  {entry.status:<11}  {_size(entry.bytes):>9}  "
            f"{_age(entry.age_seconds):>6}  {entry.detail}"
        )


def prune(
    root: Path,
    *,
    statuses: Sequence[str],
    older_than_seconds: float,
    checkpoints_only: bool,
    caches: bool,
    yes: bool,
) -> int:
    """Remove the runs (or caches) that fit all conditions, after asking.

    Runs that a process is writing are never touched, nor anything that is no run folder.

    Returns:
        The exit code: 1 where the answer was no.
    """
    chosen = [
        entry
        for entry in (find_caches(root) if caches else find_runs(root))
        if (caches or not statuses or entry.status in statuses)
        and entry.age_seconds >= older_than_seconds
        and not entry.is_alive
    ]
    targets = [
        folder
        for entry in chosen
        for folder in (_saved_steps(entry.path) if checkpoints_only else [entry.path])
    ]
    if not targets:
        print("nothing to remove")
        return 0
    size = sum(_entry(target, "", "", False).bytes for target in targets)
    for line in _table(root, chosen):
        print(line)
    what = f"{len(targets)} checkpoints of them" if checkpoints_only else "them"
    if not yes and input(f"remove {what}, {_size(size)}? [y/N] ").strip().lower() != "y":
        print("nothing was removed")
        return 1
    for target in targets:
        shutil.rmtree(target)
    print(f"removed {_size(size)}")
    return 0


def _saved_steps(run: Path) -> list[Path]:
    """A run's resumable states; its best weights are not among them."""
    return sorted((run / "checkpoints").glob("step_*"))


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _age(seconds: float) -> str:
    for unit, length in reversed(_UNITS.items()):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now"


def parse_age(text: str) -> float:
    """Seconds of an age such as ``90m``, ``12h``, ``7d``, ``2w``. Raises :class:`ConfigError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if not found:
        raise ConfigError(f"--older-than {text}: accepted is a number with m, h, d or w, as in 7d")
    return float(found[1]) * _UNITS[found[2]]


def parse_statuses(text: str) -> list[str]:
    """The statuses of a comma-separated list. Raises :class:`ConfigError` for unknown ones."""
    statuses = [part for part in text.split(",") if part]
    for status in statuses:
        if status not in STATUSES:
            raise ConfigError(
                f"--status {status}: accepted are {', '.join(STATUSES)}"
                f"{did_you_mean(status, STATUSES)}"
            )
    return statuses


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lmlab.outputs", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("command", nargs="?", choices=["list", "prune"], default="list")
    parser.add_argument("--root", type=Path, default=Path("outputs"), help="default: outputs")
    parser.add_argument(
        "--status", default="", help="only runs with one of these, as in done,failed"
    )
    parser.add_argument("--older-than", default="0m", help="only what is at least so old, as in 7d")
    parser.add_argument(
        "--checkpoints", action="store_true",
        help="remove checkpoints only; the best weights, metrics and samples stay",
    )  # fmt: skip
    parser.add_argument("--caches", action="store_true", help="remove caches, no runs")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if not arguments.root.is_dir():
            raise DataError(f"--root {arguments.root}: there is no such folder")
        if arguments.command == "list":
            list_outputs(arguments.root)
            return 0
        if not (arguments.status or arguments.older_than != "0m" or arguments.caches):
            raise ConfigError("prune: say which, by --status, --older-than or --caches")
        return prune(
            arguments.root,
            statuses=parse_statuses(arguments.status),
            older_than_seconds=parse_age(arguments.older_than),
            checkpoints_only=arguments.checkpoints,
            caches=arguments.caches,
            yes=arguments.yes,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, EOFError):
        print("\nnothing was removed")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
