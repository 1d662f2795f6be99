"""The interaction plot: a panel for each pair, six at most."""

from __future__ import annotations

import pytest
from factorial_studies import FACTORS, a_factorial, a_study

from lmlab.study.factorial_report.factorial_content import build_factorial
from lmlab.study.factorial_report.interaction_figure import draw_interactions


def test_panels_show_the_four_means_of_a_pair() -> None:
    factorial = build_factorial(a_study(a_factorial()))
    figure = draw_interactions({"factorial": factorial, "title": "f", "unit": "nats per token"})
    assert figure is not None
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 6
    off, on = shown[0].lines
    panel = factorial["panels"][0]
    assert list(off.get_ydata()) == pytest.approx(panel["off"])
    assert list(on.get_ydata()) == pytest.approx(panel["on"])


def test_five_factors_show_the_six_strongest_of_ten_pairs() -> None:
    five = {**FACTORS, "e": ["model.ffn=gelu"]}
    factorial = build_factorial(a_study(a_factorial(factors=five, fraction=2, lr="fixed")))
    assert len(factorial["panels"]) == 10
    figure = draw_interactions({"factorial": factorial, "title": "f", "unit": "nats"}, narrow=True)
    assert figure is not None and len(figure.axes) == 6


def test_without_pairs_there_is_no_figure() -> None:
    assert draw_interactions({"factorial": None, "title": "f", "unit": ""}) is None
