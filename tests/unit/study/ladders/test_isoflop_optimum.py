"""The best size of one budget: exact minima, bounds at the edges, what widens the interval."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from simulated_isoflop import Study

from lmlab.study.ladders.isoflop_curves import Curves, fit_curves
from lmlab.study.ladders.isoflop_optimum import Optimum, find_optimum

STUDY = Study(parabolas=True)
BUDGETS = STUDY.draw(np.random.default_rng(3))
PLAIN = Curves(0.0, 0.0, 0.0, 8.0, math.nan)


def width(found: Optimum) -> float:
    return math.log(found.parameters.high / found.parameters.low)


def test_an_exact_parabola_has_its_minimum_and_inverse_tokens() -> None:
    budget = dataclasses.replace(STUDY, sd=0.0).draw(np.random.default_rng(1))[1]
    found = find_optimum(budget, PLAIN)
    best = STUDY.best_size(budget.flops)
    assert found.is_located
    assert found.parameters.value == pytest.approx(best)
    assert found.tokens.value == pytest.approx(budget.flops / 6 / best)
    assert found.token_slope == pytest.approx(-1)
    assert found.loss.value == pytest.approx(STUDY.loss(best, budget.flops))
    assert width(found) == pytest.approx(0, abs=1e-6)


def test_the_interval_is_that_of_the_delta_method_where_the_bend_is_sure() -> None:
    budget, curve = BUDGETS[1], BUDGETS[1].parabola
    found = find_optimum(budget, PLAIN)
    variance, freedom = budget.noise
    error = math.sqrt((curve.vertex_influence**2).sum() * variance / 3)
    assert found.freedom == pytest.approx(freedom)
    assert found.error == pytest.approx(error, rel=0.02)
    assert width(found) / 2 == pytest.approx(stats.t.ppf(0.95, freedom) * error, rel=0.02)
    assert found.parameters.low * found.tokens.high == pytest.approx(budget.flops / 6)


def test_the_loss_at_the_minimum_is_a_sum_over_seeds() -> None:
    budget = BUDGETS[0]
    found = find_optimum(budget, PLAIN)
    assert found.loss.value == pytest.approx(np.mean(list(found.by_seed.values())))
    values = list(found.by_seed.values())
    half = stats.t.ppf(0.95, 2) * stats.sem(values)
    assert found.loss.high - found.loss.value == pytest.approx(half)
    shifted = [{s: v + 0.2 * s for s, v in row.items()} for row in budget.losses]
    other = find_optimum(dataclasses.replace(budget, losses=shifted), PLAIN)
    assert width(other) == pytest.approx(width(found))  # seeds that shift all sizes move nothing
    assert other.loss.high - other.loss.low > 5 * (found.loss.high - found.loss.low)
    single = [{0: row[0]} for row in budget.losses]
    alone = find_optimum(
        dataclasses.replace(budget, losses=single), dataclasses.replace(PLAIN, misfit=1e-5)
    )
    assert alone.is_located
    assert math.isnan(alone.loss.low)
    assert not alone.by_seed


def test_misfit_and_an_open_skew_widen_the_interval() -> None:
    budget = BUDGETS[0]
    usual = width(find_optimum(budget, PLAIN))
    misfit = find_optimum(budget, dataclasses.replace(PLAIN, misfit=0.01**2))
    assert width(misfit) > 1.3 * usual
    assert misfit.loss_variance > 0
    skewed = find_optimum(budget, dataclasses.replace(PLAIN, skew_error=0.05))
    # The straight line through the cubes of five steps rises by 3.4 per step; see Parabola.vertex.
    assert abs(skewed.skew_error) == pytest.approx(0.05 * 3.4 / 2 * math.log(2) ** 2, rel=0.1)
    assert width(skewed) > usual


@pytest.mark.parametrize(("off_centre", "word"), [(-4, "at least"), (4, "at most")])
def test_a_minimum_beyond_the_sizes_is_a_bound(off_centre: float, word: str) -> None:
    budget = Study(sd=1e-4, off_centre=off_centre).draw(np.random.default_rng(1))[0]
    found = find_optimum(budget, PLAIN)
    assert found.bound == word
    assert not found.is_located
    end = -1 if word == "at least" else 0
    assert found.parameters.value == budget.parameters[end]
    assert found.tokens.value == budget.tokens[end]
    assert math.isinf(found.parameters.high) == (word == "at least")
    assert math.isinf(found.tokens.high) == (word == "at most")
    assert math.isnan(found.loss.value)


def test_noise_that_hides_the_minimum_leaves_it_flat() -> None:
    budget = BUDGETS[0]
    found = find_optimum(budget, dataclasses.replace(PLAIN, misfit=1.0))
    assert found.bound == "flat"
    assert (found.parameters.low, found.parameters.high) == (0.0, math.inf)
    assert fit_curves(BUDGETS).misfit < 0.01
