"""Captions explain what their figure shows, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.study.figure_captions import figure_caption, rate_caption
from lmlab.study.figures import draw_curves, draw_rates
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.fixture(scope="module")
def content(finished_study: Path) -> dict[str, Any]:
    return build_content(load_study(finished_study))


def test_captions_explain_only_marks_that_are_drawn(content: dict[str, Any]) -> None:
    """The simulated arms diverge; none fails to learn or trains beyond a rate that did not."""
    figure = draw_rates(content)
    assert figure is not None
    page = rate_caption(content)
    for text, cross, ring in (
        (figure.axes[1].get_title(loc="left"), "crosses", "rings"),
        (page, "at a cross", "at a ring"),
    ):
        assert cross in text and ring not in text and "triangle" not in text
    assert "Stability counts search and judged runs alike." in page and "open markers" in page
    failing = [arm | {"rate_states": [[0.1, "failed to learn"]]} for arm in content["arms"]]
    assert "at a ring around a dot, a run failed to learn" in rate_caption(
        content | {"arms": failing}
    )
    search_only = [row for row in content["rates"] if row["purpose"] == "search"]
    stable = [arm | {"rate_states": [[0.1, "stable"]]} for arm in content["arms"]]
    once = list({(row["arm"], row["lr"]): row for row in search_only}.values())
    assert rate_caption(content | {"arms": stable, "rates": once}) == (
        "Lines join the means over the runs of the search; dots are these runs."
    )


def test_the_caption_of_the_curves_is_true_of_the_figure(content: dict[str, Any]) -> None:
    figure = draw_curves(content)
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_yscale() == "log" and all(min(x.get_xdata()) > 0 for x in axes.get_lines())
    caption = figure_caption("curves.png", content)
    assert "The evaluation before training is left out. The loss axis is logarithmic." in caption
    assert "above the chart" not in caption
    assert figure_caption("curves.png", content | {"curve_note": ""}) == ""
    assert figure_caption("rates.png", content) == ""


def test_the_caption_of_the_verdicts_names_bars_dots_and_levels(content: dict[str, Any]) -> None:
    caption = figure_caption("verdicts.png", content)
    assert "confidence intervals, each at the level of its row" in caption
    assert "runs of the replicate from the mean of the baseline" in caption
    alone = [row for row in content["verdicts"] if not row["is_replicate"]]
    assert "replicate" not in figure_caption("verdicts.png", content | {"verdicts": alone})
