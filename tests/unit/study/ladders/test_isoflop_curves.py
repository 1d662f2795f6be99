"""Curves of isoFLOP studies: the skew of a sum of powers, noise by hand, misfit where there is."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import optimize
from simulated_isoflop import SIZE_EXPONENT, TOKEN_EXPONENT, Study

from lmlab.study.ladders.isoflop_curves import Budget, fit_curves, skewed_curve

SKEW = (TOKEN_EXPONENT - SIZE_EXPONENT) / 3
QUIET = Study(sd=1e-5, factor=1.5)


def test_the_skew_of_a_sum_of_powers_is_found_and_the_minimum_with_it() -> None:
    budgets = QUIET.draw(np.random.default_rng(1))
    curves = fit_curves(budgets)
    assert curves.skew == pytest.approx(SKEW, rel=0.05)
    for budget in budgets:
        best = math.log(QUIET.best_size(budget.flops))
        plain, skewed = budget.parabola.vertex, skewed_curve(budget, curves.skew).vertex
        assert abs(skewed - best) < 0.1 * abs(plain - best)
        # Without the fit of a minimum in a loop: least squares of the cubic itself.
        u = np.log(budget.parameters) - best

        def residual(p: np.ndarray, u: np.ndarray = u, y: np.ndarray = budget.means) -> np.ndarray:
            return p[0] + p[1] * ((u - p[2]) ** 2 + curves.skew * (u - p[2]) ** 3) - y

        found = optimize.least_squares(residual, [3.0, 0.1, 0.0], xtol=1e-14, ftol=1e-14)
        assert skewed == pytest.approx(best + found.x[2], abs=2e-4)


def test_what_losses_do_not_tell_of_the_skew_remains_open() -> None:
    loud = fit_curves(Study(sd=0.5).draw(np.random.default_rng(1)))
    assert loud.skew_error == pytest.approx(0.1 / 3, rel=0.1)
    three = fit_curves(Study(sizes=3).draw(np.random.default_rng(1)))
    assert (three.skew, three.skew_error) == (0.0, 0.1 / 3)
    precise = fit_curves(Study(sd=0.003).draw(np.random.default_rng(1)))
    assert precise.skew_error < 0.2 * loud.skew_error


def test_noise_is_what_is_left_beside_size_and_seed() -> None:
    budget = QUIET.draw(np.random.default_rng(1))[0]
    losses = [dict(row) for row in budget.losses]
    for seed, shift in enumerate((0.3, -0.1, 0.2)):  # of all sizes: no noise
        for row in losses:
            row[seed] += shift
    losses[2][1] += 0.03
    variance, freedom = dataclasses.replace(budget, losses=losses).noise
    # One cell of 5 x 3 that is off by d leaves d^2 (1 - 1/5)(1 - 1/3).
    assert freedom == 8
    assert variance == pytest.approx(0.03**2 * 0.8 * 2 / 3 / 8, rel=0.01)
    apart = [{seed + 10 * i: v for seed, v in row.items()} for i, row in enumerate(losses)]
    variance, freedom = dataclasses.replace(budget, losses=apart).noise
    assert freedom == 10
    assert variance > 0.3**2 / 4


def test_a_misfit_is_found_where_it_is_and_seldom_elsewhere() -> None:
    study, chance = Study(parabolas=True), np.random.default_rng(5)
    found = [fit_curves(study.draw(chance)).misfit for _ in range(60)]
    assert np.mean(np.array(found) > 0) < 0.1 + 2 * math.sqrt(0.09 / 60)
    bent = []
    for number, budget in enumerate(study.draw(chance)):
        rows = [{s: v + (0.05 if i == number else 0) for s, v in row.items()}
                for i, row in enumerate(budget.losses)]  # fmt: skip
        bent.append(dataclasses.replace(budget, losses=rows))
    curves = fit_curves(bent)
    assert curves.misfit_p < 0.01
    assert 0.005 < math.sqrt(curves.misfit) < 0.06


def test_one_seed_leaves_the_residuals_as_noise() -> None:
    budgets = Study(seeds=1, sizes=7, budgets=8, sd=0.02, parabolas=True)
    found = [fit_curves(budgets.draw(np.random.default_rng(seed))) for seed in range(5)]
    sd = 0.02 * np.sqrt(np.mean(0.49 ** np.arange(8)))
    assert np.sqrt(np.mean([one.misfit for one in found])) == pytest.approx(sd, rel=0.15)
    with pytest.raises(ValueError, match="four sizes or two seeds"):
        fit_curves(Study(seeds=1, sizes=3).draw(np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("parameters", "tokens", "losses", "message"),
    [
        ([1e4, 2e4], [2e6, 1e6], [{1: 3.0}] * 2, "three sizes or more"),
        ([1e4, 4e4, 2e4], [3e6, 2e6, 1e6], [{1: 3.0}] * 3, "growing sizes"),
        ([1e4, 2e4, 4e4], [1e6, 2e6, 3e6], [{1: 3.0}] * 3, "growing sizes"),
        ([1e4, 2e4, 4e4], [3e6, 2e6, 1e6], [{1: 3.0}] * 2, "three sizes or more"),
        ([1e4, 2e4, 4e4], [3e6, 2e6, 1e6], [{1: 3.0}, {}, {1: 3.0}], "finite loss"),
        ([1e4, 2e4, 4e4], [3e6, 2e6, 1e6], [{1: 3.0}, {1: math.nan}, {1: 3.0}], "finite loss"),
    ],
)
def test_a_budget_that_cannot_be_analysed_is_refused(
    parameters: list[float], tokens: list[float], losses: list[dict[int, float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(4e11, parameters, tokens, losses)
