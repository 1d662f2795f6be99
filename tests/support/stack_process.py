"""The function that a process of the tests runs; in a module that the process can import."""

from __future__ import annotations

from collections.abc import Callable


def run_stack(members: list[list[str]], prepare: Callable[[], None] | None = None) -> None:
    """Call ``prepare`` in this process, then train the runs with these overrides as one stack."""
    if prepare is not None:
        prepare()
    from lmlab.config.compose import compose
    from lmlab.runs.stacked.execute_stack import execute_stack

    finished = execute_stack([compose(overrides) for overrides in members])
    raise SystemExit(max(member.exit_code for member in finished))
