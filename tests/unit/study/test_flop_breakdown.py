"""The breakdown of FLOPs has a form for every kind of swept value."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lmlab.study.flop_breakdown import draw_flop_breakdown


def drawn(shares: dict[str, dict[str, float]]) -> Axes:
    accounts: dict[str, Any] = {value: {"flops": {"shares": one}} for value, one in shares.items()}
    figure = draw_flop_breakdown("key", accounts)
    figure.draw_without_rendering()
    return figure.axes[0]


def some(attention: float) -> dict[str, float]:
    return {"attention": attention, "feed-forward": 0.9 - attention, "head": 0.1}


def test_numbers_are_drawn_in_their_order_however_they_were_typed() -> None:
    axes = drawn({"1e3": some(0.3), "32": some(0.1), "256": some(0.2)})
    assert axes.get_xscale() == "log" and axes.get_xlim() == (32, 1000)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["32", "256", "1e3"]
    vertices = axes.collections[0].get_paths()[0].vertices
    tops = {(float(x), float(y)) for x, y in vertices if y > 0}
    assert tops == {(32.0, 0.1), (256.0, 0.2), (1000.0, 0.3)}
    assert axes.get_ylabel() == "fraction of forward FLOPs"


@pytest.mark.parametrize("values", [["rms", "post"], ["64"], ["0", "1"], ["-1", "1"], ["inf", "1"]])
def test_other_values_are_bars(values: list[str]) -> None:
    axes = drawn({value: some(0.2) for value in values})
    assert [text.get_text() for text in axes.get_xticklabels()] == values
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(bars) == 3 * len(values)
    assert sum(bar.get_height() for bar in bars) == pytest.approx(len(values))


def test_parts_are_told_apart_without_colour_and_only_those_that_cost_are_listed() -> None:
    axes = drawn({"a": some(0.2), "b": {**some(0.1), "other": 0.0}})
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["head", "feed-forward", "attention"]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len({bar.get_hatch() for bar in bars}) == 3
