"""``python -m lmlab.run <frozen.yaml>``: execute one frozen configuration in its run folder.

Rerunning is safe: a finished run is skipped, an unfinished one resumes from its last checkpoint,
and another configuration gets another folder.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from pathlib import Path

from lmlab.config.compose import load_frozen
from lmlab.config.job_hooks import run_in_sweep
from lmlab.config.run_config import RunConfig
from lmlab.console.command_line import Command
from lmlab.console.logging import log_to_stderr
from lmlab.console.options import argument
from lmlab.runs.execute import execute
from lmlab.runs.run_summary import describe
from lmlab.runtime.launch_env import read_launch_env

__all__ = ["execute", "main"]


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    config: Path = argument(
        aliases=("run",),
        metavar="FROZEN.yaml",
        help="a complete configuration, such as the config.yaml of a run folder",
    )


def run(options: Options) -> int:
    """Execute the run and print its summary; see :func:`execute` for the exit codes."""
    try:
        path = options.config / "config.yaml" if options.config.is_dir() else options.config
        config = load_frozen(path)
        return run_in_sweep(path, config, lambda: _run(config))
    except KeyboardInterrupt:
        print("interrupted before training started; rerun the command", file=sys.stderr)
        return 128 + signal.SIGINT


def _run(config: RunConfig) -> int:
    log_to_stderr()
    outcome = execute(config)
    if read_launch_env().is_rank0:
        print(describe(outcome.run))
    return outcome.exit_code


COMMAND = Command(
    name="run",
    options=Options,
    act=run,
    description="Execute one frozen (complete) configuration.\n"
    "A finished run is skipped; an unfinished run resumes.",
    examples=["outputs/runs/default/seed0/config.yaml"],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
