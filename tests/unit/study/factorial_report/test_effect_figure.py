"""The figure of effects: a row for each, clear ones filled."""

from __future__ import annotations

from typing import Any

from factorial_studies import a_factorial, a_study

from lmlab.study.factorial_report.effect_figure import draw_effects
from lmlab.study.factorial_report.factorial_content import build_factorial


def content(**changes: Any) -> dict[str, Any]:
    factorial = build_factorial(a_study(a_factorial(**changes)))
    return {"factorial": factorial, "title": "f", "unit": "nats per token"}


def test_every_effect_of_low_order_has_a_row_and_clear_ones_are_filled() -> None:
    shown = content()
    figure = draw_effects(shown)
    assert figure is not None
    axes = figure.axes[0]
    rows = [row for row in shown["factorial"]["effects"] if row["order"] <= 2]
    assert [label.get_text() for label in axes.get_yticklabels()] == [row["name"] for row in rows]
    filled = {
        int(line.get_ydata()[0])
        for line in axes.lines
        if line.get_marker() in ("o", "s") and line.get_markerfacecolor() != "none"
    }
    clear = {place for place, row in enumerate(rows) if row["verdict"] in ("better", "worse")}
    assert filled == clear


def test_without_effects_there_is_no_figure() -> None:
    assert draw_effects({"factorial": None, "title": "f", "unit": ""}) is None
