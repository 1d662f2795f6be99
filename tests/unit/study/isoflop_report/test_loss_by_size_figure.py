"""The figure of losses against the size."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.study.isoflop_report.loss_by_size_figure import draw_losses_by_size
from tests.support.isoflop_folders import SIZES


@pytest.mark.parametrize("narrow", [False, True])
def test_each_budget_has_its_losses_curve_and_minimum(
    content: dict[str, Any], narrow: bool
) -> None:
    figure = draw_losses_by_size(content, narrow)
    assert figure is not None
    (axes,) = figure.axes
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    optima = content["ladder"]["isoflop"]["optima"]
    assert [float(line.get_xdata()[0]) for line in stars] == [
        row["parameters"]["value"] for row in optima
    ]
    curves = [line for line in axes.lines if line.get_label() == "_curve"]
    assert [list(line.get_ydata()) for line in curves] == [
        one["loss"] for one in content["ladder"]["isoflop"]["curves"]
    ]


def test_bounds_are_arrows_and_cells_off_their_budget_hollow(edges: dict[str, Any]) -> None:
    figure = draw_losses_by_size(edges)
    assert figure is not None
    (axes,) = figure.axes
    (arrow,) = [line for line in axes.lines if line.get_marker() == ">"]
    assert float(arrow.get_xdata()[0]) > SIZES[3]
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert {float(line.get_xdata()[0]) for line in hollow if len(line.get_xdata())} == {SIZES[0]}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["bound", "off its budget"]


def test_ladders_of_gains_have_no_such_figure(content: dict[str, Any]) -> None:
    assert draw_losses_by_size(content | {"ladder": None}) is None
    assert draw_losses_by_size(content | {"ladder": {"gains": []}}) is None
