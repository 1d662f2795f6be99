"""The figure of a coordinate check: a panel per activation, and equal axes."""

from __future__ import annotations

import math

from lmlab.demos.activation_sizes import KINDS, Sizes
from lmlab.demos.coord_check_figure import draw_sizes


def test_each_panel_shows_the_geometric_means_and_leaves_out_what_is_infinite() -> None:
    of_width = {
        width: [{kind: Sizes(scale * width, scale, 0.0) for kind in KINDS} for scale in (1.0, 4.0)]
        for width in (16, 32, 64)
    }
    infinite = {**of_width, 64: [of_width[64][0], None]}
    figure = draw_sizes({"standard": infinite, "mup": of_width}, steps=5)
    assert [axes.get_title(loc="left") for axes in figure.axes[:5]] == list(KINDS)
    assert len({axes.get_ylim() for axes in figure.axes[:5]}) == 1
    lines = figure.axes[0].get_lines()
    assert list(lines[0].get_xdata()) == [16, 32], "the infinite width is left out"
    assert list(lines[3].get_xdata()) == [16, 32, 64]
    assert all(
        math.isclose(value, 2 * width)
        for width, value in zip((16, 32, 64), lines[3].get_ydata(), strict=True)
    )
    assert len(lines[5].get_xdata()) == 0, "a change of 0 has no logarithm"
    legend = figure.axes[-1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "standard", "mup", "at initialization", "after 5 updates", "change in 5 updates",
    ]  # fmt: skip
