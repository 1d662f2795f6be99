"""``python -m lmlab.train``: compose a configuration, train, and show what came of it."""

from __future__ import annotations

import contextlib
import gc
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from lmlab import cli
from lmlab.config.compose import Config
from lmlab.ranks.world import read_world, refuse_several
from lmlab.words import run_main


def train(config: Config) -> int:
    """Bring the run of ``config`` to its end; draw and print it. Returns the exit code."""
    if config.exhibit is not None:
        refuse_several("an exhibit")
        return show_exhibit(config)
    # Torch takes seconds to import: mistakes in the configuration are told before.
    with _without_collection():
        import torch._dynamo  # noqa: F401  the first optimizer would import it, more slowly

        from lmlab.run import execute, show_log
        from lmlab.run_folder import describe

    show_log()
    outcome = execute(config)
    if not read_world().is_writer:
        return outcome.exit_code
    if outcome.run.rows():
        from lmlab.study.curve import draw_learning_curve

        draw_learning_curve(outcome.run.path)
    print(describe(outcome.run))
    return outcome.exit_code


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Let imports make their objects without looking for garbage among them, then or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def show_exhibit(config: Config) -> int:
    """Make the exhibit that ``config`` chooses, and print its tables. Returns the exit code."""
    from lmlab import assemble
    from lmlab.exhibit.write import write
    from lmlab.run import show_log

    show_log()
    exhibit = assemble.build(config.exhibit, config=config)
    command = shlex.join(["python", "-m", "lmlab.train", *sys.argv[1:]])
    paths = write(exhibit, Path(config.output_root) / config.study, command)
    print(paths[0].read_text("utf-8"))
    print(f"report: {paths[1]}")
    return 0


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    return cli.main(argv, train)


if __name__ == "__main__":
    run_main(main)
