"""Loss against learning rate: every seed, the spread, the last stable rate and the edge."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from matplotlib.collections import LineCollection

from lmlab.study.figures import draw_rates
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.fixture(scope="module")
def content(finished_study: Path) -> dict[str, Any]:
    return build_content(load_study(finished_study))


def found(content: dict[str, Any], arm: str, purpose: str = "search") -> list[tuple[float, float]]:
    return [
        (row["lr"], row["loss"])
        for row in content["rates"]
        if row["arm"] == arm and row["purpose"] == purpose
    ]


def test_every_rate_that_trained_is_within_the_axes(content: dict[str, Any]) -> None:
    figure = draw_rates(content)
    assert figure is not None
    losses, stability = figure.axes
    low, high = losses.get_ylim()
    rates = [row["lr"] for row in content["rates"]]
    for row in content["rates"]:
        if row["loss"] is not None:
            assert low < row["loss"] < high
    assert losses.get_xlim() == stability.get_xlim()
    assert losses.get_xlim()[0] < min(rates) and max(rates) < losses.get_xlim()[1]
    assert losses.get_ylabel().startswith("final validation loss (nats per token)")
    assert stability.get_xlabel().startswith("peak learning rate")


def test_the_last_stable_rate_and_the_edge_are_marked(content: dict[str, Any]) -> None:
    figure = draw_rates(content)
    assert figure is not None
    stability = figure.axes[1]
    searched = [arm for arm in content["arms"] if found(content, arm["name"])]
    assert [text.get_text() for text in stability.get_yticklabels()] == [
        arm["name"] for arm in searched
    ]
    bars = {line.get_ydata()[0]: line.get_xdata()[0] for line in stability.get_lines()
            if line.get_marker() == "|"}  # fmt: skip
    crosses = {line.get_ydata()[0]: line.get_xdata()[0] for line in stability.get_lines()
               if line.get_marker() == "x"}  # fmt: skip
    assert len(searched) == 3
    for y, arm in enumerate(searched):
        assert (bars[y], crosses[y]) == tuple(arm["edge"])
        assert stability.texts[y].get_text() == " | ".join(f"{rate:g}" for rate in arm["edge"])


def test_every_seed_is_a_dot_and_bars_are_standard_deviations(content: dict[str, Any]) -> None:
    figure = draw_rates(content)
    assert figure is not None
    axes = figure.axes[0]
    dots = {place for line in axes.get_lines() if line.get_label() == "_seeds"
            for place in zip(*line.get_data(), strict=True)}  # fmt: skip
    bars = {
        (round(float(x), 12), round(float(high - low), 9))
        for collection in axes.collections
        if isinstance(collection, LineCollection)
        for (x, low), (_, high) in collection.get_segments()
    }
    for purpose in ("search", "judged"):
        by_rate: dict[float, list[float]] = {}
        for rate, loss in found(content, "post", purpose):
            if loss is not None:
                assert (rate, loss) in dots
                by_rate.setdefault(rate, []).append(loss)
        several = {rate: losses for rate, losses in by_rate.items() if len(losses) > 1}
        assert several
        for rate, losses in several.items():
            assert (round(rate, 12), round(2 * statistics.stdev(losses), 9)) in bars


def test_a_search_in_which_every_run_diverged_has_no_figure(content: dict[str, Any]) -> None:
    diverged = [row | {"loss": None} for row in content["rates"]]
    assert draw_rates(content | {"rates": diverged}) is None
