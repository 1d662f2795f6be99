"""The report of a stack: headline, sections, page and Markdown."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import pytest
from stack_studies import MEANS, a_stack, stack_study

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.study.markdown import render_markdown
from lmlab.study.page import render_page
from lmlab.study.report_content import build_content
from lmlab.study.stack_report.stack_content import build_stack, gap_text

ENDS: dict[str, Callable[[Job], str]] = {
    "finished": lambda job: "done",
    "half": lambda job: "done" if job.seed < 2 else "running",
    "not started": lambda job: "missing",
    "lost": lambda job: "diverged" if job.arm == "without-a" and job.seed == 0 else "done",
}


@pytest.fixture(scope="module")
def contents() -> list[dict[str, Any]]:
    return [
        compose([*own, "study=s", "logger=none", "seed=0"]).as_dict() | {"design": None}
        for own in a_stack().arms.values()
    ]


def test_the_headline_says_what_earns_its_place_and_how_the_parts_add_up() -> None:
    lines = "\n".join(build_stack(stack_study())["headline"])
    assert "Earns its place beside the others: a (+0.2" in lines
    assert "Can go, because the stack without it is not worse by more than 0.02: b (" in lines
    assert "All changes together are worth +0." in lines
    assert "some can stand in for others" in lines


def test_a_gap_is_told_by_its_interval() -> None:
    assert gap_text([0.1, 0.05, 0.15]) == "they need each other"
    assert gap_text([-0.1, -0.15, -0.05]) == "some can stand in for others"
    assert gap_text([0.1, -0.05, 0.25]) == "no sign that they act on each other"


@pytest.mark.parametrize("end", ENDS)
def test_every_state_has_a_report(end: str, contents: list[dict[str, Any]]) -> None:
    content = build_content(stack_study(status=ENDS[end], contents=contents).study)
    json.dumps(content["stack"], allow_nan=False)
    page, text = render_page(content), render_markdown(content, ["stack.png", "verdicts.png"])
    for line in content["headline"]:
        assert line in html.unescape(page) and line[:30] in text
    assert "## What each change is worth" in text and "## Verdicts" in text
    assert ("![stack](stack.png)" in text) and text.count("stack.png") == 1
    if end == "lost":
        assert "There is no sum, because runs of without-a have no final loss." in text
    if end == "finished":
        assert "sum of the changes" in page


def test_a_harmful_change_is_named_in_the_headline() -> None:
    lines = build_stack(stack_study(means=MEANS | {"without-c": 2.8}))["headline"]
    assert any(line.startswith("Does harm beside the others: c (-0.") for line in lines)
