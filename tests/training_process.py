"""What a training process of the tests does; a module, so that the process can import it."""

from __future__ import annotations

from collections.abc import Callable


def run_to_end(overrides: list[str], prepare: Callable[[], None] | None) -> None:
    """Call ``prepare`` in this process, then bring the run of ``overrides`` to its end."""
    if prepare is not None:
        prepare()
    from lmlab.config.compose import compose
    from lmlab.run import execute

    raise SystemExit(execute(compose(overrides)).exit_code)
