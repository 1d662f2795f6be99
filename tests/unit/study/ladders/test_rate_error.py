"""Errors of searched rates: a calculation by hand, coverage, and the excess loss that is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lmlab.design.confirmation import ConfirmedSearch
from lmlab.design.search import LRSearch, TrialOutcome
from lmlab.study.ladders.rate_error import RateError, rate_error, searched_rate

STEP, CURVATURE = math.log(2) / 2, 0.1


def losses_of(
    optimum: float, sd: float, seeds: int, chance: np.random.Generator, own: float = 0.0
) -> dict[float, dict[int, float]]:
    """Return losses at nine rates; seeds share shifts, and have optima that differ by ``own``."""
    x = STEP * np.arange(-4, 5)
    optima = optimum + own * chance.normal(size=seeds)
    rows = 3 + CURVATURE / 2 * (x[:, None] - optima) ** 2 + 0.02 * chance.normal(size=seeds)
    rows = rows + sd * chance.normal(size=rows.shape)
    return {math.exp(at): dict(enumerate(map(float, row))) for at, row in zip(x, rows, strict=True)}


def estimate(losses: dict[float, dict[int, float]], expected_sd: float = 0.01) -> RateError | None:
    """Return the error of the vertex through the lowest mean and its neighbours, as by a search."""
    rates = sorted(losses)
    means = [float(np.mean(list(losses[rate].values()))) for rate in rates]
    best = int(np.argmin(means))
    if best in (0, len(rates) - 1):
        return None
    left, middle, right = means[best - 1 : best + 2]
    away = STEP / 2 * (left - right) / (left + right - 2 * middle)
    rate = rates[best] * math.exp(away)
    near = {one: losses[one] for one in rates[max(best - 2, 0) : best + 3]}
    return rate_error(near, rates[best - 1 : best + 2], rate, expected_sd)


def test_three_rates_by_hand() -> None:
    """With a bend b and steps h, the vertex at the middle moves by sd / (sqrt(8) b h) per seed."""
    bend, h = 0.05, STEP
    losses = {
        math.exp(x): {seed: 3 + bend * x**2 + shift for seed, shift in ((0, 0.1), (1, -0.1))}
        for x in (-h, 0.0, h)
    }
    for seed, sign in ((0, 1), (1, -1)):  # without effect on the means
        losses[math.exp(h)][seed] += sign * 0.001
    found = rate_error(losses, sorted(losses), 1.0, 0.0)
    rest = np.array([[-1, 1], [-1, 1], [2, -2]]) * 0.001 / 3
    sd = math.sqrt((rest**2).sum() / 2 / 2)
    assert found.freedom == 2
    assert found.curvature == pytest.approx(2 * bend)
    by_hand = math.hypot(sd / (math.sqrt(8) * bend * h), 0.005 / math.sqrt(3))
    assert found.excess == pytest.approx(bend * by_hand**2, rel=1e-6)
    assert found.error == pytest.approx(by_hand, rel=0.1)  # the bend is a little uncertain
    half = stats.t.ppf(0.95, 2) * sd / (math.sqrt(8) * bend * h)
    assert (found.low, found.high) == pytest.approx((math.exp(-half), math.exp(half)), rel=0.01)
    assert found.loss_variance == pytest.approx(3 * found.excess**2)


@pytest.mark.parametrize(
    ("seeds", "sd", "own"), [(1, 0.002, 0.0), (2, 0.004, 0.0), (3, 0.003, 0.05), (5, 0.01, 0.0)]
)
def test_the_interval_covers_and_the_excess_is_what_is_lost(
    seeds: int, sd: float, own: float
) -> None:
    chance, inside, by_t, told, lost = np.random.default_rng(3), [], [], [], []
    for _ in range(400):
        optimum = float(chance.uniform(-0.3, 0.3))
        found = estimate(losses_of(optimum, sd, seeds, chance, own))
        if found is None:
            continue
        away = math.log(found.rate) - optimum
        inside.append(found.low <= math.exp(optimum) <= found.high)
        by_t.append(abs(away) <= stats.t.ppf(0.95, min(found.freedom, 1e9)) * found.error)
        told.append(found.loss_variance)
        lost.append((CURVATURE / 2 * away**2) ** 2)
    lowest = 0.9 - 3 * math.sqrt(0.09 / len(inside))
    assert np.mean(inside) > lowest
    assert np.mean(by_t) > lowest
    assert 0.6 < math.sqrt(np.mean(told) / np.mean(lost)) < 2.5


def test_a_rate_beside_the_vertex_is_as_wrong_as_it_is_far() -> None:
    losses = losses_of(0.0, 0.0, 3, np.random.default_rng(1))
    rates = sorted(losses)[3:6]
    assert rate_error(losses, rates, 1.0, 0.0).error < 0.004  # rounding alone
    assert rate_error(losses, rates, 1.1, 0.0).error == pytest.approx(math.log(1.1), rel=1e-3)
    assert rate_error(losses, rates, 1.1, 0.0).excess == pytest.approx(
        CURVATURE / 2 * math.log(1.1) ** 2, rel=1e-3
    )


def test_a_minimum_that_the_rates_do_not_enclose_is_not_located() -> None:
    losses = losses_of(-1.4, 0.0, 2, np.random.default_rng(1))
    rates = sorted(losses)[:2]
    found = rate_error({rate: losses[rate] for rate in rates}, rates, rates[0], 0.01)
    assert not found.is_located
    assert (found.low, found.high) == (0.0, math.inf)
    assert found.error == pytest.approx(STEP / math.sqrt(3))
    gap = np.mean(list(losses[rates[1]].values())) - np.mean(list(losses[rates[0]].values()))
    assert found.excess == pytest.approx(gap / 3)


def test_a_real_search_has_an_error() -> None:
    search = ConfirmedSearch(LRSearch(0.01, 2.0, 1.5, (101, 102)), expected_sd=0.01)
    chance, trials = np.random.default_rng(5), {}
    shift = {101: 0.01, 102: -0.01}
    assert searched_rate(search, trials) is None
    while fresh := [run for run in search.required_runs(trials) if run not in trials]:
        for rate, seed in fresh:
            loss = 3 + CURVATURE / 2 * math.log(rate / 0.013) ** 2 + shift[seed]
            diverged = rate > 0.2
            trials[rate, seed] = TrialOutcome(
                "diverged" if diverged else "done",
                None if diverged else loss + 5e-4 * float(chance.normal()),
                7.0,
            )
    found = searched_rate(search, trials)
    assert found is not None
    assert found.is_located
    assert found.rate == search.best_lr(trials)
    assert found.low < 0.013 < found.high
    assert 0.003 < found.error < 0.2
    assert found.curvature == pytest.approx(CURVATURE, rel=0.3)
