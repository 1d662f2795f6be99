"""Figures show the numbers of the report, and are left out where there is nothing to show."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.study.figure_style import MARKERS, line_style
from lmlab.study.figures import draw_curves, draw_figures, draw_verdicts
from lmlab.study.rate_figure import draw_rates
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.fixture(scope="module")
def content(finished_study: Path) -> dict[str, Any]:
    return build_content(load_study(finished_study))


def test_each_row_of_verdicts_shows_its_interval_its_seeds_and_its_numbers(
    content: dict[str, Any],
) -> None:
    figure = draw_verdicts(content)
    assert figure is not None
    axes = figure.axes[0]
    drawn = [tuple(line.get_xdata()) for line in axes.get_lines()]
    own = [row for row in content["verdicts"] if row["at"] == "own best lr"]
    for row in own:
        assert (row["low"], row["high"]) in drawn
        assert len(row["differences"]) == row["seeds"] == 5 and tuple(row["differences"]) in drawn
        assert math.fsum(row["differences"]) / 5 == pytest.approx(row["difference"])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["post", "none", "again"]
    for text, row in zip(axes.texts, own, strict=True):
        assert text.get_text().startswith(f"{row['difference']:+.3g} [{row['low']:+.3g}, ")
        assert text.get_text().endswith(row["verdict"])
    assert axes.get_xlabel().startswith(
        "difference in final validation loss from the baseline\n(nats per token; left is better"
    )


def test_a_huge_effect_leaves_small_ones_legible(content: dict[str, Any]) -> None:
    rows = copy.deepcopy([row for row in content["verdicts"] if row["at"] == "own best lr"])
    small, huge, lost = rows
    small |= {"difference": 0.01, "low": -0.01, "high": 0.03, "differences": [0.0, 0.02]}
    huge |= {
        "difference": 5.0,
        "low": 4.0,
        "high": 6.0,
        "differences": [4.5, 5.5],
        "verdict": "worse",
        "shown_verdict": "worse",
    }
    lost |= {
        "difference": None,
        "low": None,
        "high": None,
        "differences": [],
        "verdict": "diverged",
        "shown_verdict": "failed to learn",
    }
    figure = draw_verdicts(content | {"verdicts": rows})
    assert figure is not None
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert low < -0.01 and high > 6, "everything is within the axis"
    places = axes.transAxes.inverted().transform(
        axes.transData.transform([[value, 0] for value in (-0.01, 0.03, 4.0, 6.0)])
    )[:, 0]
    assert places[1] - places[0] > 0.1, "the small interval"
    assert places[3] - places[2] > 0.02, "the huge interval"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["post", "none", "again"]
    assert [text.get_text() for text in axes.texts] == [
        f"+0.01 [-0.01, +0.03] ({small['confidence']})  {small['verdict']}",
        f"+5 [+4, +6] ({huge['confidence']})  worse", "failed to learn",
    ]  # fmt: skip
    assert [line.get_ydata()[0] for line in axes.get_lines() if line.get_marker() == "x"] == [2]


def test_verdicts_at_the_baselines_rate_are_not_drawn(content: dict[str, Any]) -> None:
    others = [row for row in content["verdicts"] if row["at"] != "own best lr"]
    assert others and draw_verdicts(content | {"verdicts": others}) is None


def test_curves_are_means_over_the_judged_runs(content: dict[str, Any]) -> None:
    figure = draw_curves(content)
    assert figure is not None
    axes = figure.axes[0]
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert {name for name in lines if name[0] != "_"} == {"rms", "post", "none", "again"}
    best = next(arm["best_lr"] for arm in content["arms"] if arm["name"] == "post")
    losses = [
        curve["loss"][-1]
        for curve in content["curves"]
        if (curve["arm"], curve["lr"], curve["purpose"]) == ("post", best, "judged")
    ]
    assert len(losses) == 5
    assert lines["post"].get_ydata()[-1] == pytest.approx(math.fsum(losses) / 5)
    assert axes.get_xlabel() == "training tokens"
    assert axes.get_ylabel() == "validation loss (nats per token; logarithmic axis)"


def test_each_seed_is_drawn_beside_the_mean(content: dict[str, Any]) -> None:
    figure = draw_curves(content)
    assert figure is not None
    lines = figure.axes[0].get_lines()
    style = next(line for line in lines if line.get_label() == "post")
    best = next(arm["best_lr"] for arm in content["arms"] if arm["name"] == "post")
    last = sorted(
        curve["loss"][-1]
        for curve in content["curves"]
        if (curve["arm"], curve["lr"], curve["purpose"]) == ("post", best, "judged")
    )
    seeds = [line for line in lines if line.get_label() == "_seed"]
    seeds = [line for line in seeds if line.get_color() == style.get_color()]
    assert sorted(line.get_ydata()[-1] for line in seeds) == last
    assert all(line.get_marker() == "." for line in seeds), "one dot per evaluation"


def test_a_mean_is_drawn_only_where_every_seed_has_a_loss(content: dict[str, Any]) -> None:
    curves = [
        {"arm": "post", "seed": seed, "lr": None, "purpose": "run", "status": status,
         "tokens": [0, 10, 20, 30], "loss": loss}
        for seed, status, loss in ((0, "done", [6.0, 5.0, 4.0, 3.0]),
                                   (1, "diverged", [6.0, 5.5, None, None]))
    ]  # fmt: skip
    figure = draw_curves(content | {"curves": curves})
    assert figure is not None
    lines = figure.axes[0].get_lines()
    (mean,) = [line for line in lines if line.get_label() == "post"]
    assert list(mean.get_data()[0]) == [10] and list(mean.get_data()[1]) == [5.25]
    crosses = [line.get_data() for line in lines if line.get_marker() == "x"]
    assert [(list(x), list(y)) for x, y in crosses] == [([10], [5.5])], "where it diverged"


def test_the_legend_has_the_order_of_the_arms(content: dict[str, Any]) -> None:
    figure = draw_curves(content)
    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [arm["name"] for arm in content["arms"]]


def test_only_figures_with_data_are_saved(content: dict[str, Any], tmp_path: Path) -> None:
    paths = draw_figures(content | {"rates": [], "verdicts": []}, tmp_path)
    assert [path.name for path in paths] == ["curves.png", "curves.svg", "curves.pdf"]


def test_a_long_name_is_shortened_in_the_legend_only(content: dict[str, Any]) -> None:
    long = copy.deepcopy(content)
    name = "x" * 60
    for row in [*long["arms"], *long["curves"]]:
        for key in ("name", "arm"):
            if row.get(key) == "post":
                row[key] = name
    figure = draw_curves(long)
    assert figure is not None
    (legend,) = figure.legends
    assert "x" * 47 + "..." in [text.get_text() for text in legend.get_texts()]


def test_curves_of_few_evaluations_are_drawn_whole(content: dict[str, Any]) -> None:
    curves = [
        curve | {key: curve[key][:3] for key in ("steps", "tokens", "seconds", "flops", "loss")}
        for curve in content["curves"]
        if curve["purpose"] == "judged"
    ]
    figure = draw_curves(content | {"curves": curves})
    assert figure is not None
    low, high = figure.axes[0].get_ylim()
    losses = [loss for curve in curves for loss in curve["loss"][1:]]
    assert low < min(losses) and max(losses) < high


def test_an_arm_has_one_mark_in_all_figures(content: dict[str, Any]) -> None:
    figures = [draw_verdicts(content), draw_curves(content), draw_rates(content)]
    marks: dict[str, set[object]] = {}
    for figure in figures:
        assert figure is not None
        for line in figure.axes[0].get_lines():
            if line.get_marker() in MARKERS:
                marks.setdefault(str(line.get_color()), set()).add(line.get_marker())
    dots = {"o"}  # of single seeds
    for index, arm in enumerate(content["arms"]):
        style = line_style(index)
        assert style["marker"] in marks[style["color"]] <= dots | {style["marker"]}, arm["name"]
