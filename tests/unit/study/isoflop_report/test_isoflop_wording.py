"""How sizes, intervals and bounds read."""

from __future__ import annotations

from typing import Any

from lmlab.study.isoflop_report.isoflop_wording import (
    ends_text,
    quantity_text,
    with_ends,
)


def _optimum(bound: str) -> dict[str, Any]:
    size = {"value": 38_520.0, "low": 30_000.0, "high": 45_678.0}
    ratio = {"value": 26.71, "low": None, "high": 30.0}
    return {"bound": bound, "parameters": size, "tokens": size, "tokens_per_parameter": ratio}


def test_intervals_are_rounded_and_bounds_are_exact() -> None:
    assert quantity_text(_optimum(""), "parameters") == "38,500 (30,000 to 45,700)"
    assert quantity_text(_optimum("at most"), "parameters", " parameters") == (
        "at most 38,520 parameters"
    )


def test_tokens_are_bounded_on_the_other_side() -> None:
    assert quantity_text(_optimum("at least"), "tokens") == "at most 38,520"
    assert quantity_text(_optimum("at most"), "tokens_per_parameter") == "at least 26.7"
    assert quantity_text(_optimum("flat"), "tokens") == "not located"


def test_ends_that_are_not_bounded() -> None:
    text = "{:g}".format
    assert ends_text({"low": None, "high": 2.0}, text) == "2 or less"
    assert ends_text({"low": 2.0, "high": None}, text) == "2 or more"
    assert ends_text({"low": None, "high": None}, text) == "not bounded"
    assert with_ends({"value": None, "low": None, "high": None}, text) == ""
    assert with_ends({"value": 1.0, "low": None, "high": None}, text) == "1"
    assert with_ends({"value": 1.0, "low": 0.5, "high": 2.0}, text, " x", "90% ") == (
        "1 x (90% 0.5 to 2)"
    )
