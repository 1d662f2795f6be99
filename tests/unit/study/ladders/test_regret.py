"""Regrets: SciPy's paired t test, exact parabolas, coverage of the band of a bracket."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lmlab.study.ladders.regret import bracket_regret, paired_regret

STEP, CURVATURE = 0.7, 0.1


def bracket(
    optimum: float, seeds: int, sd: float, chance: np.random.Generator
) -> dict[float, dict[int, float]]:
    """Return losses of three rates about 1; what seeds shift is large and shared by the rates."""
    x = np.array([-STEP, 0.0, STEP])
    rows = 3 + CURVATURE / 2 * (x[:, None] - optimum) ** 2 + 0.05 * chance.normal(size=seeds)
    rows = rows + sd * chance.normal(size=rows.shape)
    return {math.exp(at): dict(enumerate(map(float, row))) for at, row in zip(x, rows, strict=True)}


def test_runs_of_the_same_seeds_are_compared_as_by_the_paired_t_test() -> None:
    transferred = {1: 3.21, 2: 3.25, 3: 3.18, 4: 3.3}
    best = {2: 3.20, 3: 3.16, 1: 3.15, 9: 2.0}
    found = paired_regret(transferred, best, 0.01, excess=0.002)
    reference = stats.ttest_rel([3.21, 3.25, 3.18], [3.15, 3.2, 3.16])
    low, high = reference.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.nats == pytest.approx(0.13 / 3)
    assert (found.best_rate, found.excess, found.bound) == (0.01, 0.002, "")
    assert paired_regret({1: 3.2}, {1: 3.1}, 0.01).high == math.inf
    with pytest.raises(ValueError, match="the same seeds"):
        paired_regret({1: 3.2}, {2: 3.1}, 0.01)


@pytest.mark.parametrize("optimum", [0.0, 0.3, -0.5])
def test_an_exact_parabola_has_its_regret(optimum: float) -> None:
    found = bracket_regret(bracket(optimum, 2, 0.0, np.random.default_rng(1)), 1.0, 0.01)
    expected = CURVATURE / 2 * optimum**2
    assert found.nats == pytest.approx(expected, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((expected, expected), abs=1e-5)
    assert found.best_rate == pytest.approx(math.exp(optimum), rel=0.01)
    assert found.bound == ""


def test_an_optimum_outside_the_bracket_is_a_bound() -> None:
    found = bracket_regret(bracket(2.0, 2, 0.0, np.random.default_rng(1)), 1.0, 0.01)
    assert found.bound == "at least"
    assert found.nats == pytest.approx(CURVATURE / 2 * (2.0**2 - 1.3**2))
    assert found.best_rate == pytest.approx(math.exp(STEP))


def test_a_bracket_with_a_diverged_end_compares_two_rates() -> None:
    losses = bracket(-0.5, 2, 0.0, np.random.default_rng(1))
    del losses[max(losses)]
    found = bracket_regret(losses, 1.0, 0.01)
    assert found.nats == pytest.approx(CURVATURE / 2 * (0.5**2 - 0.2**2))
    assert found.bound == "at least"
    with pytest.raises(ValueError, match="expected runs at it and beside it"):
        bracket_regret({1.0: {1: 3.0}}, 1.0, 0.01)


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("optimum", [0.0, 0.4, 1.5])
def test_the_interval_covers_the_regret_within_the_bracket(seeds: int, optimum: float) -> None:
    chance, hits, draws, sd = np.random.default_rng(4), 0, 200, 0.004
    inside = min(optimum, STEP)
    true = CURVATURE / 2 * (optimum**2 - (optimum - inside) ** 2)
    for _ in range(draws):
        found = bracket_regret(bracket(optimum, seeds, sd, chance), 1.0, sd)
        hits += found.low <= true <= found.high
        assert 0 <= found.low <= found.nats <= found.high
    assert hits / draws > 0.9 - 3 * math.sqrt(0.09 / draws)
