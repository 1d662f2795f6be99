"""Entry points of training processes; a module, so that the processes can import it."""

from __future__ import annotations

from collections.abc import Callable

# Torch imports its compiler when deterministic algorithms are enabled.
PRELOADED = ["lmlab.run", "torch._inductor"]


def run_to_end(overrides: list[str], prepare: Callable[[], None] | None) -> None:
    """Call ``prepare`` in this process, then execute the run of ``overrides``."""
    if prepare is not None:
        prepare()
    from lmlab.config.compose import compose
    from lmlab.runs.execute import execute

    raise SystemExit(execute(compose(overrides)).exit_code)


def rank_to_end(
    config_file: str, environment: dict[str, str], log: str, prepare: Callable[[], None] | None
) -> None:
    """Train a frozen configuration as the rank that ``environment`` describes."""
    import os

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ |= environment
    if prepare is not None:
        prepare()
    from lmlab.run import main

    raise SystemExit(main([config_file]))
