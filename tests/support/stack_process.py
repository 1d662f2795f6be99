"""What the process of a stack does in the tests; a module, so that the process can import it."""

from __future__ import annotations


def run_stack(members: list[list[str]]) -> None:
    """Bring the runs of these overrides to their ends, as one stack."""
    from lmlab.config.compose import compose
    from lmlab.runs.stacked.execute_stack import execute_stack

    ended = execute_stack([compose(overrides) for overrides in members])
    raise SystemExit(max(member.exit_code for member in ended))
