"""The figure of losses shows every mean, the laws, and distances from that of the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmlab.study.ladder_report.loss_figure import draw_losses, shifts_of
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.fixture(scope="module")
def content(fixed_folder: Path) -> dict[str, Any]:
    return build_content(load_study(fixed_folder))


def test_the_upper_panel_is_logarithmic_and_shows_means_and_laws(content: dict[str, Any]) -> None:
    figure = draw_losses(content)
    assert figure is not None
    upper, lower = figure.axes
    assert upper.get_xscale() == upper.get_yscale() == "log" and lower.get_yscale() == "linear"
    for row in content["ladder"]["losses"]:
        expected = [(one["flops"], one["mean"]) for one in row["rungs"]]
        drawn = [
            list(zip(*line.get_data(), strict=True))
            for line in upper.lines
            if line.get_label() == "_means"
        ]
        assert any(np.allclose(one, expected) for one in drawn)
    laws = [line for line in upper.lines if line.get_label() == "_law"]
    assert len(laws) == len(content["ladder"]["curves"])
    names = [text.get_text() for text in upper.texts]
    assert names == ["r1", "r2", "r3", "r4"]


def test_the_lower_panel_measures_from_the_law_of_the_baseline(content: dict[str, Any]) -> None:
    figure = draw_losses(content, narrow=True)
    assert figure is not None
    residuals = {row["arm"]: row["residuals"] for row in content["ladder"]["residuals"]}
    heights = [float(box.lines[0].get_ydata()[0]) for box in figure.axes[1].containers]
    assert heights[:4] == pytest.approx(residuals["base"])
    low, high = figure.axes[1].get_ylim()
    assert low < min(heights) and max(heights) < high


def test_one_arm_has_one_panel_and_none_has_no_figure(content: dict[str, Any]) -> None:
    ladder = content["ladder"]
    alone = {**ladder, "losses": ladder["losses"][:1], "seals": [], "curves": []}
    figure = draw_losses({**content, "ladder": alone})
    assert figure is not None and len(figure.axes) == 1
    assert draw_losses({**content, "ladder": None}) is None
    empty = [{**row, "rungs": [{**one, "mean": None} for one in row["rungs"]]}
             for row in ladder["losses"]]  # fmt: skip
    assert draw_losses({**content, "ladder": {**ladder, "losses": empty}}) is None


def test_arms_of_a_rung_stay_nearer_to_it_than_to_the_next() -> None:
    shifts = list(shifts_of(list("abcdefg"), [1e10, 3e10, 1e13]).values())
    assert shifts == sorted(shifts) and shifts[3] == pytest.approx(1)
    assert shifts[-1] / shifts[0] < 3**0.5


def test_two_arms_stay_near_their_rung() -> None:
    below, above = shifts_of(["a", "b"], [32.0, 64.0, 128.0]).values()
    assert 0.97 < below < 1 < above < 1.03
