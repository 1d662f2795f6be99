"""What a training process of the tests does; a module, so that the process can import it."""

from __future__ import annotations

from collections.abc import Callable

# Torch imports its compiler when deterministic operations are asked for.
PRELOADED = ["lmlab.run", "torch._inductor"]


def run_to_end(overrides: list[str], prepare: Callable[[], None] | None) -> None:
    """Call ``prepare`` in this process, then bring the run of ``overrides`` to its end."""
    if prepare is not None:
        prepare()
    from lmlab.config.compose import compose
    from lmlab.runs.execute import execute

    raise SystemExit(execute(compose(overrides)).exit_code)


def rank_to_end(
    frozen: str, environment: dict[str, str], log: str, prepare: Callable[[], None] | None
) -> None:
    """Be one of the ranks that train the frozen configuration; their variables say which."""
    import os

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ |= environment
    if prepare is not None:
        prepare()
    from lmlab.run import main

    raise SystemExit(main([frozen]))
