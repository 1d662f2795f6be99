"""Styles of lines are distinct, and files of figures are sharp, small and reproducible."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from PIL import Image

from lmlab.study.figure_style import (
    COLOURS,
    DARK_COLOURS,
    add_legend,
    label_sparsely,
    line_style,
    new_figure,
    save,
    themed_svg,
)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_no_two_of_many_lines_look_the_same() -> None:
    styles = [tuple(map(str, line_style(index).values())) for index in range(385)]
    assert len(set(styles)) == 385
    for one, other in itertools.combinations(styles[:10], 2):
        assert sum(a != b for a, b in zip(one, other, strict=True)) >= 2, "also without colour"
    for one, other in itertools.pairwise(styles):
        assert all(a != b for a, b in zip(one, other, strict=True))


def test_lines_stand_out_from_the_background_of_both_themes() -> None:
    assert len(COLOURS) == len(DARK_COLOURS) == len(set(DARK_COLOURS))
    assert min(contrast(colour, "#FFFFFF") for colour in COLOURS) > 2
    assert min(contrast(colour, "#14171A") for colour in DARK_COLOURS) > 4.5


def test_files_of_a_figure(tmp_path: Path) -> None:
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    axes.plot([0, 1], [1, 2], label="one", **line_style(1))
    axes.axvspan(0.2, 0.8, color="#8A8A8A", alpha=0.12, linewidth=0)
    paths = save(figure, tmp_path / "lr-0.1")
    assert [path.name for path in paths] == ["lr-0.1.png", "lr-0.1.svg", "lr-0.1.pdf"]
    with Image.open(paths[0]) as image:
        assert image.size == (1200, 900), "300 dots per inch"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        colours = image.convert("RGB")
        assert colours.getpixel((2, 2)) == (255, 255, 255)
        assert colours.getpixel((600, 700)) == (240, 240, 240), "a band stays visible"
    assert paths[2].read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in paths[2].read_bytes()
    assert [path.read_bytes() for path in save(figure, tmp_path / "again")] == [
        path.read_bytes() for path in paths
    ]
    assert [path.suffix for path in save(figure, tmp_path / "one", ["svg"])] == [".svg"]


@pytest.mark.parametrize("width", [5.45, 4.003, 7.0])
def test_any_size_can_be_saved(width: float, tmp_path: Path) -> None:
    (path,) = save(new_figure(width, 2), tmp_path / "figure", ["png"])
    with Image.open(path) as image:
        assert image.size[0] == pytest.approx(300 * width, abs=1)


def test_a_figure_in_a_page_takes_its_colours_from_the_page() -> None:
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    axes.plot([0, 1], [1, 2], label="one", **line_style(2))
    add_legend(axes, ["one"])
    svg = themed_svg(figure)
    assert svg.startswith("<svg")
    assert "stroke: var(--c2)" in svg and "var(--paper)" in svg and "var(--ink)" in svg
    for colour in ("#000000", "#ffffff", COLOURS[2].lower()):
        assert colour not in svg


@pytest.mark.parametrize("limits", [(2.4, 6.3), (3.98, 4.02), (0.01, 900.0)])
def test_a_logarithmic_axis_of_any_length_has_round_labels(limits: tuple[float, float]) -> None:
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    label_sparsely(axes.yaxis)
    figure.draw_without_rendering()
    labels = [text.get_text() for text in axes.get_yticklabels() if text.get_text()]
    assert 4 <= len(labels) <= 12, labels
    assert all(len(label.replace(".", "").strip("0")) <= 4 for label in labels), labels


def test_a_legend_never_covers_the_lines_of_many_arms() -> None:
    for names in ([f"arm {index}" for index in range(10)], ["x" * 40, "y" * 40]):
        figure = new_figure()
        axes = figure.add_subplot()
        for index, name in enumerate(names):
            axes.plot([0, 1], [index, index + 1], label=name, **line_style(index))
        add_legend(axes, names)
        figure.draw_without_rendering()
        legend = axes.get_legend() or figure.legends[0]
        box, plot = legend.get_window_extent(), axes.get_window_extent()
        assert not box.overlaps(plot)
        assert figure.bbox.contains(box.x0, box.y0) and figure.bbox.contains(box.x1, box.y1)
        assert [text.get_text() for text in legend.get_texts()] == names
