"""``python -m lmlab.runs.stacked FROZEN.yaml ...``: train frozen configurations as one model."""

from __future__ import annotations

import sys
from pathlib import Path

from lmlab.config.compose import load_frozen
from lmlab.console.logging import log_to_stderr
from lmlab.errors import UserError
from lmlab.run_folder import describe
from lmlab.runs.stacked.execute_stack import execute_stack

USAGE = """\
usage: python -m lmlab.runs.stacked FROZEN.yaml ...

Train frozen configurations as one stacked model, each in its own run folder.
Sweeps start this command; see hydra.launcher.stack.
"""


def main(arguments: list[str]) -> int:
    """Run the frozen configurations at the paths ``arguments``, each in its own run folder.

    Returns:
        0 where every run is done or has diverged, 128 + n after signal n, 2 for a wrong setting,
        else 1. The folder of each run holds its status.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    log_to_stderr()
    try:
        members = execute_stack([load_frozen(Path(path)) for path in arguments])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for member in members:
        print(describe(member.context.folder))
    codes = {member.exit_code for member in members} - {0}
    return next((code for code in codes if code > 128), 1) if codes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
