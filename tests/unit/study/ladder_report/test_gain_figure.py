"""The figure of gains shows the numbers of its rows, and bounds as arrows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from lmlab.study.ladder_report.gain_figure import draw_gains, draw_timed_gains
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.fixture(scope="module")
def content(fixed_folder: Path) -> dict[str, Any]:
    return build_content(load_study(fixed_folder))


def marks(axes: Axes, marker: str) -> list[tuple[float, float]]:
    found = [line for line in axes.lines if line.get_marker() == marker]
    return [(float(x), float(y)) for line in found for x, y in np.array(line.get_data()).T]


def panels(figure: Any) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def test_each_arm_has_a_panel_with_its_gains_trend_and_verdict(content: dict[str, Any]) -> None:
    figure = draw_gains(content)
    assert figure is not None
    new, again = panels(figure)
    row = content["ladder"]["gains"][0]
    filled = marks(new, "s")[: len(row["rungs"])]
    assert filled == [pytest.approx((one["cost"], one["gain"])) for one in row["rungs"]]
    (line,) = [one for one in new.lines if len(one.get_xdata()) == len(row["trend"]["line"])]
    assert np.asarray(line.get_ydata()) == pytest.approx(row["trend"]["line"])
    assert new.get_title("left") == "new\nthe gain holds"
    assert "replicate" in again.get_title("left")
    hollow = [line for line in new.lines if line.get_markerfacecolor() == "none"]
    sealed = [one for one in content["ladder"]["seals"][0]["rows"] if one["quantity"] == "gain"]
    assert [float(line.get_ydata()[0]) for line in hollow] == [sealed[0]["value"]]


def test_a_bound_is_an_arrow_and_an_open_interval_has_an_arrowhead(
    content: dict[str, Any],
) -> None:
    changed = copy.deepcopy(content)
    one = changed["ladder"]["gains"][0]["rungs"][3]
    one |= {"gain": None, "bound": "at least", "bound_gain": 1.6, "high": None}
    figure = draw_gains(changed)
    assert figure is not None
    panel = panels(figure)[0]
    arrows = marks(panel, "^")
    assert [x for x, _ in arrows] == [one["cost"]] * 2
    assert {y > 1.6 for _, y in arrows} == {True}
    assert max(y for _, y in arrows) == pytest.approx(panel.get_ylim()[1])
    label = figure.get_supxlabel()
    assert "arrows: bounds" in label


@pytest.mark.parametrize("narrow", [True, False])
def test_a_long_verdict_stays_within_its_panel(content: dict[str, Any], narrow: bool) -> None:
    changed = copy.deepcopy(content)
    changed["ladder"]["verdicts"][0]["sentence"] = (
        "a disadvantage at the highest rung; cannot tell whether any of it is left"
    )
    rows = changed["ladder"]["gains"]
    changed["ladder"]["gains"] = [rows[0], rows[1], rows[1]]
    figure = draw_gains(changed, narrow=narrow)
    assert figure is not None
    figure.draw_without_rendering()
    first, second = (panel.get_window_extent() for panel in panels(figure)[:2])
    (title,) = [
        one.get_window_extent()
        for one in panels(figure)[0].findobj(Text)
        if one.get_text().startswith("new")
    ]
    assert first.x0 <= title.x0 and title.x1 < second.x0


def test_gains_by_seconds_have_seconds_as_axis_and_no_verdicts(content: dict[str, Any]) -> None:
    figure = draw_timed_gains(content, narrow=True)
    assert figure is not None and "(seconds)" in figure.get_supxlabel()
    assert marks(panels(figure)[0], "s")[0][0] == pytest.approx(2.0)
    assert panels(figure)[0].get_title("left") == "new"
    content = {**content, "ladder": None}
    assert draw_gains(content) is None and draw_timed_gains(content) is None
