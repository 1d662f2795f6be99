"""Scales on which small and huge values are both legible."""

from __future__ import annotations

import itertools

import pytest

from lmlab.study.chart_scales import effect_scale, limits, log_ticks, loss_scale, ticks


def test_values_of_one_size_have_a_linear_scale() -> None:
    scale = effect_scale([[-0.03, 0.02], [0.05]])
    assert scale.width is None
    assert limits(scale, [-1.0, 1.0], 0.1) == pytest.approx((-1.2, 1.2))
    assert effect_scale([]).width is None and effect_scale([[0.0], []]).width is None
    assert loss_scale([3.0]).width is None


def test_a_huge_value_compresses_the_scale() -> None:
    scale = effect_scale([[-0.03, 0.02], [0.05], [9.0, 8.0]])
    places = [scale.forward(value) for value in (-9.0, -0.05, 0.0, 0.02, 0.05, 9.0)]
    assert places == sorted(places) and places[2] == 0
    assert places[4] / places[5] > 0.2, "the small one keeps a fifth of the axis"
    assert scale.inverse(places[3]) == pytest.approx(0.02)
    low, high = limits(scale, [-0.05, 9.0])
    assert low < -0.05 and high > 9


def test_losses_are_scaled_around_the_best() -> None:
    scale = loss_scale([3.0, 3.1, 3.3, 90.0])
    assert scale.origin == 3.0 and scale.width is not None
    assert scale.forward(3.1) / scale.forward(90.0) > 0.05


def test_ticks_are_round_in_both_parts_of_a_scale() -> None:
    scale = effect_scale([[-0.03, 0.02], [0.05], [9.0, 8.0]])
    found = ticks(scale, -0.06, 10.0)
    assert 0.0 in found and max(found) >= 5
    assert any(0 < tick <= 0.05 for tick in found)
    places = [scale.forward(tick) for tick in found]
    length = scale.forward(10.0) - scale.forward(-0.06)
    assert all(b - a >= 0.09 * length for a, b in itertools.pairwise(places))
    assert all(len(f"{tick:g}".lstrip("-0.")) <= 3 for tick in found)


@pytest.mark.parametrize(("low", "high"), [(2.4, 6.3), (1e-3, 1e3), (4.0, 4.01)])
def test_ticks_of_a_logarithmic_axis(low: float, high: float) -> None:
    found = log_ticks(low, high)
    assert len(found) >= 4 and low <= found[0] and found[-1] <= high
