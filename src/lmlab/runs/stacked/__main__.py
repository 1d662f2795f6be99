"""``python -m lmlab.runs.stacked FROZEN.yaml ...``: frozen configurations train as one stacked model."""

from __future__ import annotations

import sys
from pathlib import Path

from lmlab.config.compose import load_frozen
from lmlab.console.logging import log_to_stderr
from lmlab.errors import UserError
from lmlab.run_folder import describe
from lmlab.runs.stacked.execute_stack import execute_all


def main(argv: list[str]) -> int:
    """Run the frozen configurations at ``argv``, each in its own run folder.

    Returns:
        0 where every run is done or diverged, 128 + n after signal n, 2 for a mistake in the
        settings, else 1; what became of each run is in its folder.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m lmlab.runs.stacked FROZEN.yaml ...   (see hydra.launcher.stack)")
        return 0 if argv else 2
    log_to_stderr()
    try:
        members = execute_all([load_frozen(Path(path)) for path in argv])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for member in members:
        print(describe(member.run))
    codes = {member.exit_code for member in members} - {0}
    return next((code for code in codes if code > 128), 1) if codes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
