"""The figure of a plain sweep follows from which settings were swept; every seed is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from matplotlib.axes import Axes

from lmlab.study.sweep_figure import draw_sweep, is_geometric

LossOf = Callable[[list[Any], int], float | None]


def a_sweep(keys: list[str], values: Sequence[list[Any]], loss_of: LossOf) -> dict[str, Any]:
    points = []
    for value in values:
        for seed in range(2):
            loss = loss_of(value, seed)
            status = "diverged" if loss is None else "done"
            points.append({"arm": str(value), "seed": seed, "values": value, "status": status,
                           "loss": loss})  # fmt: skip
    return {"title": "a sweep", "unit": "nats per token", "sweep": {"keys": keys, "points": points}}


def drawn(content: dict[str, Any]) -> Axes:
    figure = draw_sweep(content)
    assert figure is not None
    figure.draw_without_rendering()
    return figure.axes[0]


def dots(axes: Axes) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for line in axes.get_lines()
        if line.get_label() == "_seeds"
        for x, y in zip(*line.get_data(), strict=True)
    ]


def test_one_numeric_setting_gives_a_line_with_every_seed() -> None:
    rates = [[1e-4], [1e-3], [1e-2], [1e-1]]
    axes = drawn(
        a_sweep(
            ["optim.lr"], rates, lambda v, seed: None if v == [0.1] and seed else 3 + v[0] + seed
        )
    )
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "optim.lr"
    assert axes.get_ylabel().startswith("final validation loss (nats per token)")
    assert len(dots(axes)) == 7, "one per seed that has a loss"
    (line,) = [line for line in axes.get_lines() if line.get_linewidth() == 1.6]
    assert list(line.get_xdata()) == [1e-4, 1e-3, 1e-2], "no mean of the seeds that are left"
    assert list(line.get_ydata()) == pytest.approx([3.5001, 3.501, 3.51])
    crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == [0.1]
    assert [text.get_text() for text in axes.texts] == ["1/2"]
    assert axes.get_xlim()[0] < 1e-4 and axes.get_xlim()[1] > 0.1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-4, 1e-3, 1e-2], True), ([4, 8, 16, 64], True), ([1, 2, 3, 4], False),
        ([100, 200, 300], False), ([0, 0.1, 0.2], False), ([-1, 1], False), ([1e-3, 3e-3], False),
        ([1e-3, 1e-2], True), ([5], False),
    ],
)  # fmt: skip
def test_only_values_spaced_by_factors_get_a_logarithmic_axis(
    values: list[float], expected: bool
) -> None:
    assert is_geometric(values) is expected


def test_two_numeric_settings_give_a_heat_map_with_the_numbers_of_each_cell() -> None:
    values = [[lr, size] for lr in (1e-3, 1e-2) for size in (4, 8, 16)][:-1]
    axes = drawn(
        a_sweep(
            ["optim.lr", "training.batch_size"],
            values,
            lambda v, seed: None if v == [1e-2, 8] else 10 * v[0] + v[1] + 0.1 * seed,
        )
    )
    (image,) = axes.images
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.001", "0.01"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["16", "8", "4"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("optim.lr", "training.batch_size")
    texts = {(text.get_position()): text for text in axes.texts}
    assert texts[0, 2].get_text() == "4.060\n± 0.071"
    assert texts[0, 2].get_fontweight() == "bold" and texts[0, 0].get_fontweight() == "normal"
    assert texts[1, 1].get_text() == "diverged\n2/2"
    assert texts[1, 0].get_text() == "", "no run"
    array = image.get_array()
    assert array is not None and list(array.mask.ravel()) == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    assert array[2, 0] < array[2, 1] < array[1, 0] < array[0, 0], "colours in the order of losses"


def test_a_large_heat_map_has_a_colour_bar_in_place_of_numbers() -> None:
    values = [[row, column] for row in range(13) for column in range(13)]
    figure = draw_sweep(a_sweep(["a", "b"], values, lambda v, seed: 3.0 + v[0] + v[1]))
    assert figure is not None and len(figure.axes) == 2
    assert not figure.axes[0].texts
    labels = [float(text.get_text()) for text in figure.axes[1].get_yticklabels()]
    assert min(labels) >= 3 and max(labels) <= 27 and len(labels) >= 3


def test_other_settings_give_a_row_per_value_with_every_seed() -> None:
    axes = drawn(
        a_sweep(["model.norm"], [["rms"], ["post"], [True]],
                lambda v, seed: None if v == [True] else len(v[0]) + seed)
    )  # fmt: skip
    assert [text.get_text() for text in axes.get_yticklabels()] == ["rms", "post", "true"]
    assert dots(axes) == [(3, 0), (4, 0), (4, 1), (5, 1)]
    means = [line.get_data() for line in axes.get_lines() if line.get_marker() == "D"]
    assert [(x[0], y[0]) for x, y in means] == [(3.5, 0), (4.5, 1)]
    assert [line.get_ydata()[0] for line in axes.get_lines() if line.get_marker() == "x"] == [2]
    assert [text.get_text() for text in axes.texts] == ["3.500 ± 0.71", "4.500 ± 0.71",
                                                        "diverged 2/2"]  # fmt: skip
    assert axes.get_xlabel().startswith("final validation loss (nats per token)")
    assert axes.get_ylabel() == "model.norm"


def test_a_numeric_and_another_setting_give_one_line_for_each_value_of_the_other() -> None:
    values = [[norm, lr] for norm in ("rms", "none") for lr in (1e-3, 1e-2, 1e-1)]
    axes = drawn(a_sweep(["model.norm", "optim.lr"], values, lambda v, seed: 3 + v[1] + seed))
    lines = [line for line in axes.get_lines() if line.get_linewidth() == 1.6]
    assert [line.get_label() for line in lines] == ["rms", "none"]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 2
    legend = axes.get_legend()
    assert legend is not None and legend.get_title().get_text() == "model.norm"
    assert axes.get_xlabel() == "optim.lr"


def test_a_loss_far_from_the_others_leaves_them_legible() -> None:
    losses = {1e-4: 3.3, 1e-3: 3.1, 1e-2: 3.0, 1e-1: 90.0}
    axes = drawn(a_sweep(["optim.lr"], [[lr] for lr in losses], lambda v, _: losses[v[0]]))
    low, high = axes.get_ylim()
    assert low < 3.0 and high > 90
    places = axes.transAxes.inverted().transform(
        axes.transData.transform([[1e-3, loss] for loss in (3.0, 3.1, 3.3, 90.0)])
    )[:, 1]
    assert places[1] - places[0] > 0.05 and places[2] - places[1] > 0.05
    assert "compressed" in axes.get_ylabel()


def test_nothing_swept_or_finished_gives_no_figure() -> None:
    assert draw_sweep(a_sweep([], [[]], lambda *_: 3.0)) is None
    assert draw_sweep(a_sweep(["a"], [[1], [2]], lambda *_: None)) is None
