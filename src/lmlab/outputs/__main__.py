"""The command line of ``python -m lmlab.outputs``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lmlab.console.command_line import run_main
from lmlab.errors import ConfigError, DataError, UserError, did_you_mean
from lmlab.outputs.entries import AGE_UNITS, find_caches, find_runs, select, show
from lmlab.outputs.prune import prune
from lmlab.run_folder import STATUSES

_EXAMPLES = """\
examples:
  python -m lmlab.outputs                                      list runs and caches
  python -m lmlab.outputs prune --status failed,diverged       show what would go, and ask
  python -m lmlab.outputs prune --older-than 30d --yes         remove without asking
  python -m lmlab.outputs prune --older-than 7d --dry-run      only show what would go
  python -m lmlab.outputs prune --checkpoints-only --status done
                                                               keep the best weights and all records
  python -m lmlab.outputs prune --caches                       tokenizers and token files
"""


def parse_age(text: str) -> float:
    """Seconds of an age such as ``90m``, ``12h``, ``7d``, ``2w``. Raises :class:`ConfigError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if not found:
        raise ConfigError(f"--older-than {text}: accepted is a number with m, h, d or w, as in 7d")
    return float(found[1]) * AGE_UNITS[found[2]]


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


class _Parser(argparse.ArgumentParser):
    """Tells mistakes as all heads do."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; python -m lmlab.outputs --help shows what is accepted")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False, allow_abbrev=False)
    common.add_argument("--root", type=Path, default=Path("outputs"), help="default: outputs")
    common.add_argument("--status", default="", help="only runs with one of these: done,failed")
    common.add_argument("--older-than", default="", help="only what is at least so old, as in 7d")
    parser = _Parser(
        prog="python -m lmlab.outputs",
        description="List the runs and caches on disk, remove what is not needed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "list",
        parents=[common],
        help="show runs and caches (the default)",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    pruning = commands.add_parser(
        "prune",
        parents=[common],
        help="remove some of them",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = pruning.add_mutually_exclusive_group()
    what.add_argument(
        "--checkpoints-only", action="store_true",
        help="resumable states only: the best weights and all records stay, and a run that is not "
        "finished would begin anew",
    )  # fmt: skip
    what.add_argument("--caches", action="store_true", help="caches, no runs")
    how = pruning.add_mutually_exclusive_group()
    how.add_argument("--yes", action="store_true", help="do not ask")
    how.add_argument("--dry-run", action="store_true", help="show what would go, remove nothing")
    return parser


def _run(argv: Sequence[str]) -> int:
    asks_for_help = argv[:1] in (["-h"], ["--help"])
    if not asks_for_help and (not argv or argv[0].startswith("-")):
        argv = ["list", *argv]
    arguments = _parser().parse_args(argv)
    root, statuses = arguments.root, parse_statuses(arguments.status)
    age = parse_age(arguments.older_than) if arguments.older_than else 0.0
    if not root.is_dir():
        raise DataError(f"--root {root}: there is no such folder")
    if arguments.command == "list":
        entries = find_runs(root) if statuses else [*find_runs(root), *find_caches(root)]
        show(root, select(entries, statuses, age))
        return 0
    if not (statuses or arguments.older_than or arguments.caches):
        raise ConfigError("prune: say which, by --status, --older-than or --caches")
    if arguments.caches and statuses:
        raise ConfigError(f"--status {arguments.status}: caches have none, leave it out")
    return prune(
        root,
        select(find_caches(root) if arguments.caches else find_runs(root), statuses, age),
        checkpoints_only=arguments.checkpoints_only,
        yes=arguments.yes,
        dry_run=arguments.dry_run,
    )


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    try:
        return _run(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    run_main(main)
