"""Figures show the numbers of the report, and are left out where there is nothing to show."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.study.figures import draw_curves, draw_figures, draw_rates, draw_verdicts
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.fixture(scope="module")
def content(finished_study: Path) -> dict[str, Any]:
    return build_content(load_study(finished_study))


def test_intervals_are_those_of_the_verdicts(content: dict[str, Any]) -> None:
    figure = draw_verdicts(content)
    assert figure is not None
    axes = figure.axes[0]
    drawn = {tuple(line.get_xdata()) for line in axes.get_lines() if len(line.get_xdata()) == 2}
    own = [row for row in content["verdicts"] if row["at"] == "own best lr"]
    assert {(row["low"], row["high"]) for row in own} <= drawn
    assert [label.get_text() for label in axes.get_yticklabels()] == ["post", "none", "again"]
    assert [text.get_text() for text in axes.texts] == [row["verdict"] for row in own]
    assert axes.get_xlabel() == (
        "difference in final validation loss from the baseline (nats per token; left is better)"
    )


def test_verdicts_at_the_baselines_rate_are_not_drawn(content: dict[str, Any]) -> None:
    others = [row for row in content["verdicts"] if row["at"] != "own best lr"]
    assert others and draw_verdicts(content | {"verdicts": others}) is None


def test_curves_are_means_over_the_judged_runs(content: dict[str, Any]) -> None:
    figure = draw_curves(content)
    assert figure is not None
    axes = figure.axes[0]
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert set(lines) == {"rms", "post", "none", "again"}
    best = next(arm["best_lr"] for arm in content["arms"] if arm["name"] == "post")
    losses = [
        curve["loss"][-1]
        for curve in content["curves"]
        if (curve["arm"], curve["lr"], curve["purpose"]) == ("post", best, "judged")
    ]
    assert len(losses) == 5
    assert lines["post"].get_ydata()[-1] == pytest.approx(math.fsum(losses) / 5)
    assert axes.get_xlabel() == "training tokens"
    assert axes.get_ylabel() == "validation loss (nats per token)"


def test_the_order_of_the_legend_is_that_of_the_final_losses(content: dict[str, Any]) -> None:
    figure = draw_curves(content)
    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names[0] == "post" and names[-1] == "none"


def test_diverged_runs_are_crosses_at_their_rates(content: dict[str, Any]) -> None:
    figure = draw_rates(content)
    assert figure is not None
    axes = figure.axes[0]
    crosses = {x for line in axes.get_lines() if line.get_marker() == "x" for x in line.get_xdata()}
    assert crosses == {
        row["lr"] for row in content["rates"] if row["purpose"] == "search" and row["loss"] is None
    }
    assert crosses
    edges = {line.get_xdata()[0] for line in axes.get_lines() if line.get_linestyle() == ":"}
    expected = {
        math.sqrt(arm["edge"][0] * arm["edge"][1]) for arm in content["arms"] if arm["edge"]
    }
    assert sorted(edges) == pytest.approx(sorted(expected))
    assert axes.get_ylabel() == "final validation loss (nats per token)"


def test_a_search_in_which_every_run_diverged_has_no_figure(content: dict[str, Any]) -> None:
    diverged = [row | {"loss": None} for row in content["rates"]]
    assert draw_rates(content | {"rates": diverged}) is None


def test_only_figures_with_data_are_saved(content: dict[str, Any], tmp_path: Path) -> None:
    paths = draw_figures(content | {"rates": [], "verdicts": []}, tmp_path)
    assert [path.name for path in paths] == ["curves.png", "curves.svg"]


def test_a_long_name_is_shortened_in_the_legend_only(content: dict[str, Any]) -> None:
    long = copy.deepcopy(content)
    name = "x" * 60
    for row in [*long["arms"], *long["curves"]]:
        for key in ("name", "arm"):
            if row.get(key) == "post":
                row[key] = name
    figure = draw_curves(long)
    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == "x" * 47 + "..."
