"""A panel shows the mean over the runs of an arm where all were evaluated, and each run."""

from __future__ import annotations

from lmlab.study.figure_style import new_figure
from lmlab.study.score_panels import draw_score, finish_panels


def run(tokens: list[float], accuracy: list[float]) -> dict[str, dict[str, list[float]]]:
    return {"plots": {"tokens": tokens, "accuracy": accuracy}}


def test_means_are_over_shared_evaluations() -> None:
    axes = new_figure(3, 3).subplots()
    runs = [run([0, 10, 20], [0.1, 0.4, 0.9]), run([0, 20], [0.3, 0.7]), {"other": {}}]
    draw_score(axes, {"arm": runs, "empty": []}, "plots", "accuracy")
    mean, *seeds = axes.get_lines()
    assert mean.get_label() == "arm"
    assert [list(values) for values in mean.get_data()] == [[0, 20], [0.2, 0.8]]
    assert [list(line.get_xdata()) for line in seeds] == [[0, 10, 20], [0, 20]]
    assert all(line.get_color() == mean.get_color() for line in seeds)


def test_the_lowest_panels_are_labelled_and_the_others_hidden() -> None:
    figure = new_figure(6, 6)
    panels = list(figure.subplots(2, 3).flatten())
    for arm in ("one", "two"):
        panels[0].plot([0], [0], label=arm)
    finish_panels(figure, panels, 4, 3, "title")
    assert [bool(axes.get_xlabel()) for axes in panels] == [False, True, True, True, False, False]
    assert [axes.get_visible() for axes in panels] == [True] * 4 + [False] * 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
