"""The figure of best sizes and their tokens against compute."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.study.isoflop_report.optimum_figure import draw_optima


@pytest.mark.parametrize("narrow", [False, True])
def test_sizes_and_tokens_have_their_optima_and_laws(content: dict[str, Any], narrow: bool) -> None:
    figure = draw_optima(content, narrow)
    assert figure is not None and len(figure.axes) == 2
    isoflop = content["ladder"]["isoflop"]
    for axes, law in zip(figure.axes, isoflop["laws"], strict=True):
        (line,) = [one for one in axes.lines if one.get_label() == "_law"]
        assert list(line.get_ydata()) == law["line"]
        marks = [one for one in axes.lines if one.get_label() == "_optimum"]
        assert [float(one.get_ydata()[0]) for one in marks] == [
            row[law["quantity"]]["value"] for row in isoflop["optima"]
        ]
        labels = [tick.get_text() for tick in axes.get_xticklabels()]
        assert labels == ["4.0e11", "1.6e12", "6.4e12", "2.6e13"]
        assert f"exponent {law['exponent']['value']:.3f}" in axes.get_title(loc="left")


def test_a_bound_of_the_size_is_the_opposite_bound_of_its_tokens(edges: dict[str, Any]) -> None:
    figure = draw_optima(edges)
    assert figure is not None
    sizes, tokens = (
        [line.get_marker() for line in axes.lines if line.get_label() == "_bound"]
        for axes in figure.axes
    )
    assert "^" in sizes and "v" not in sizes
    assert "v" in tokens and "^" not in tokens


def test_nothing_is_drawn_without_a_best_size(content: dict[str, Any]) -> None:
    isoflop = {**content["ladder"]["isoflop"], "optima": []}
    assert draw_optima(content | {"ladder": {"isoflop": isoflop}}) is None
