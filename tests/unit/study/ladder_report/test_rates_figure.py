"""The figure of rates tells searched from transferred ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.study.ladder_report.rates_figure import draw_rates_by_size
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


def test_rates_are_drawn_at_their_size_and_transferred_ones_are_hollow(
    transfer_folder: Path,
) -> None:
    content = build_content(load_study(transfer_folder))
    figure = draw_rates_by_size(content)
    assert figure is not None
    axes = figure.axes[0]
    (row, _) = content["ladder"]["rates"]["arms"]
    circles = [line for line in axes.lines if line.get_marker() == "o"]
    drawn = [float(line.get_ydata()[0]) for line in circles]
    assert drawn == [one["rate"] for one in row["rungs"]]
    assert [line.get_markerfacecolor() == "none" for line in circles] == [False] * 2 + [True] * 2
    laws = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert list(laws[0].get_ydata()) == pytest.approx(row["law"]["rate"])


def test_configured_rates_have_no_figure(fixed_folder: Path) -> None:
    assert draw_rates_by_size(build_content(load_study(fixed_folder))) is None
