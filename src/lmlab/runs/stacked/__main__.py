"""``python -m lmlab.runs.stacked FROZEN.yaml ...``: train frozen configurations as one stack."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from lmlab.config.compose import load_frozen
from lmlab.console.command_line import Command
from lmlab.console.logging import log_to_stderr
from lmlab.console.options import argument
from lmlab.errors import LockedError, UserError
from lmlab.runs.run_summary import describe
from lmlab.runs.stacked.execute_stack import execute_stack
from lmlab.runtime.launch_env import print_error


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    configs: tuple[Path, ...] = argument(metavar="FROZEN.yaml", help="frozen configurations")


def run(options: Options) -> int:
    """Execute the configurations, each in its own run folder; return the exit code.

    It is 0 if every run is done or diverged, 128 + n after signal n, 2 for a mistake in the
    settings, 75 if other processes train all others, otherwise 1. Run folders say how each ended.
    """
    log_to_stderr()
    try:
        members = execute_stack([load_frozen(path) for path in options.configs])
    except UserError as error:
        print_error(error)
        return 2
    for member in members:
        print(describe(member.context.folder))
    codes = {member.exit_code for member in members} - {0}
    without_signal = max(codes, default=0) if codes <= {LockedError.exit_code} else 1
    return next((code for code in codes if code > 128), without_signal)


COMMAND = Command(
    name="runs.stacked",
    options=Options,
    act=run,
    description="Train frozen configurations as one stacked model. They may differ in seeds,\n"
    "initial weights, optimizer and schedule. hydra.launcher.stack starts it.",
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
