"""``python -m lmlab.train``: compose a configuration, train, and show what came of it."""

from __future__ import annotations

import sys

from lmlab import cli
from lmlab.config.compose import Config


def train(config: Config) -> int:
    """Bring the run of ``config`` to its end; draw and print it. Returns the exit code."""
    # Torch takes seconds to import: mistakes in the configuration are told before.
    from lmlab.run import execute, show_log
    from lmlab.run_folder import describe
    from lmlab.study.curve import draw_learning_curve

    show_log()
    outcome = execute(config)
    if outcome.run.rows():
        draw_learning_curve(outcome.run.path)
    print(describe(outcome.run))
    return outcome.exit_code


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    return cli.main(argv, train)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
