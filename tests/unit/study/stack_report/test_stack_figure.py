"""The figure of a stack: a row for each change, the sum and the whole."""

from __future__ import annotations

from typing import Any

from stack_studies import stack_study

from lmlab.study.stack_report.stack_content import build_stack
from lmlab.study.stack_report.stack_figure import draw_stack


def labels(stack: dict[str, Any], narrow: bool = False) -> list[str]:
    figure = draw_stack({"stack": stack, "title": "s", "unit": "nats per token"}, narrow=narrow)
    assert figure is not None
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_changes_sum_and_whole_have_rows() -> None:
    expected = ["a", "b", "c", "sum of the changes", "all changes together"]
    assert labels(build_stack(stack_study())) == expected
    assert labels(build_stack(stack_study()), narrow=True) == expected


def test_without_a_sum_the_changes_remain() -> None:
    lost = stack_study(
        status=lambda job: "diverged" if job.arm == "plain" and job.seed == 0 else "done"
    )
    assert labels(build_stack(lost)) == ["a", "b", "c"]


def test_without_differences_there_is_no_figure() -> None:
    assert draw_stack({"stack": None, "title": "s", "unit": ""}) is None
    empty = build_stack(stack_study(status=lambda job: "missing"))
    assert draw_stack({"stack": empty, "title": "s", "unit": ""}) is None
