"""``python -m lmlab.run <frozen.yaml>``: one frozen configuration becomes one run folder.

Rerunning is always safe: a finished run is passed over, an unfinished one goes on from its last
checkpoint, and another configuration never lands in the same folder.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from lmlab.config.compose import load_frozen
from lmlab.console.logging import log_to_stderr
from lmlab.errors import UserError
from lmlab.run_folder import describe
from lmlab.runs.execute import execute
from lmlab.runtime.launch_env import print_error, read_launch_env

__all__ = ["execute", "main"]


def main(argv: list[str]) -> int:
    """Run the frozen configuration at ``argv[0]``; see :func:`execute` for the exit codes."""
    if len(argv) != 1 or argv[0] in ("-h", "--help"):
        print("usage: python -m lmlab.run FROZEN.yaml    (see python -m lmlab.train --help)")
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    try:
        log_to_stderr()
        outcome = execute(load_frozen(Path(argv[0])))
    except UserError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted before training began; the same command starts again", file=sys.stderr)
        return 128 + signal.SIGINT
    if read_launch_env().is_rank0:
        print(describe(outcome.run))
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
