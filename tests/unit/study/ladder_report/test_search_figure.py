"""The figure of searches measures losses from the best of their rung."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from lmlab.study.ladder_report.search_figure import draw_searches
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


def test_each_arm_has_a_panel_and_each_rung_a_curve_with_its_lowest_mean_at_zero(
    transfer_folder: Path, fixed_folder: Path
) -> None:
    content = build_content(load_study(transfer_folder))
    figure = draw_searches(content)
    assert figure is not None
    assert [axes.get_title("left") for axes in figure.axes] == ["base", "new"]
    for axes in figure.axes:
        curves = [line for line in axes.lines if line.get_label() == "_means"]
        assert len(curves) == 2, "two rungs search"
        assert [float(np.min(line.get_ydata())) for line in curves] == pytest.approx([0.0] * 2)
        bars = [float(line.get_xdata()[0]) for line in axes.lines if line.get_label() == "_best"]
        (row,) = [one for one in content["ladder"]["rates"]["arms"]
                  if one["arm"] == axes.get_title("left")]  # fmt: skip
        assert bars == [one["rate"] for one in row["rungs"][:2]]
    assert draw_searches(build_content(load_study(fixed_folder))) is None


def test_a_rate_at_which_a_run_diverged_is_left_out_of_the_curve(transfer_folder: Path) -> None:
    content = copy.deepcopy(build_content(load_study(transfer_folder)))
    row = content["ladder"]["rates"]["searches"][0]
    row["points"][0]["lost"] = 1
    figure = draw_searches(content, narrow=True)
    assert figure is not None
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "_means")
    assert row["points"][0]["rate"] not in list(curve.get_xdata())
