"""Power-law fits: exact curves, SciPy's least squares, invariances, influence by refitting."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import optimize
from small_ladders import AMPLITUDE, ENTROPY, EXPONENT, LOWEST, a_ladder, gained, law

from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.scaling_fit import fit_each, fit_scaling, kink_sd, misfit_sd

CURVES = {"arm": gained(0.3), "base": law}


def shifted(ladder: LadderLosses, arm: str, rung: int, by: float) -> LadderLosses:
    """Return a ladder with all seeds of one arm and rung moved."""
    rows = [dict(row) for row in ladder.losses[arm]]
    rows[rung] = {seed: loss + by for seed, loss in rows[rung].items()}
    return dataclasses.replace(ladder, losses={**ladder.losses, arm: rows})


@pytest.mark.parametrize("rungs", [3, 4, 5])
def test_an_exact_power_law_is_found_with_shared_and_free_asymptotes(rungs: int) -> None:
    ladder = a_ladder(CURVES, rungs=rungs)
    fits = [(fit_scaling(ladder), 1), *((fit, 0) for fit in [fit_each(ladder)["base"]])]
    for fit, base in fits:
        assert fit.asymptote == pytest.approx(ENTROPY, abs=1e-5)
        assert fit.exponent[base] == pytest.approx(EXPONENT, abs=1e-5)
        amplitude = math.exp(fit.log_amplitude[base] - EXPONENT * math.log(LOWEST))
        assert amplitude == pytest.approx(AMPLITUDE, rel=1e-3)
        assert fit.loss(base, np.log(9e13)) == pytest.approx(law(9e13), abs=1e-6)
        assert fit.range_error < 1e-3


def test_the_estimate_is_that_of_least_squares_by_scipy() -> None:
    ladder = a_ladder(CURVES, seeds=2, sd=0.0005, seed=3)
    fit = fit_scaling(ladder)
    x = ladder.log_cost - math.log(LOWEST)

    def residuals(p: np.ndarray) -> np.ndarray:
        fitted = p[0] + np.exp(p[1:3, None] - p[3:5, None] * x)
        return ((ladder.mean - fitted) * np.sqrt(fit.weights)).ravel()

    start = [1.0, 1.0, 1.0, 0.1, 0.1]
    found = optimize.least_squares(residuals, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    # They differ by the curvature of the logarithm and by the range of E, far below the errors.
    error = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    assert abs(fit.asymptote - found.x[0]) < 0.03 * error[0]
    assert np.abs(fit.exponent - found.x[3:]).max() < 0.03 * error[3]


@pytest.mark.parametrize("rungs", [3, 5])
def test_influence_is_what_refitting_a_moved_rung_shows(rungs: int) -> None:
    ladder = a_ladder(CURVES, rungs=rungs, seeds=2, sd=0.004, seed=2)
    fit, step = fit_scaling(ladder), 2e-5
    for arm, name in enumerate(ladder.arms):
        for rung in range(rungs):
            moved = [fit_scaling(shifted(ladder, name, rung, by)).asymptote for by in (step, -step)]
            slope = (moved[0] - moved[1]) / (2 * step)
            assert slope == pytest.approx(fit.influence[arm, rung], rel=0.1, abs=0.3)


def test_units_of_cost_and_a_shift_of_the_losses_change_what_they_should() -> None:
    ladder = a_ladder(CURVES, seeds=3, sd=0.005)
    fit = fit_scaling(ladder)
    scaled = fit_scaling(
        dataclasses.replace(
            ladder, cost={arm: [1e-12 * c for c in row] for arm, row in ladder.cost.items()}
        )
    )
    assert scaled.asymptote == pytest.approx(fit.asymptote, abs=1e-6)
    assert scaled.exponent == pytest.approx(fit.exponent, abs=1e-6)
    assert scaled.log_amplitude == pytest.approx(
        fit.log_amplitude - fit.exponent * math.log(1e12), abs=1e-5
    )


def test_without_information_the_asymptote_is_as_uncertain_as_its_range() -> None:
    fit = fit_scaling(a_ladder({"base": law}, rungs=2, seeds=3, sd=0.005))
    top = law(100 * LOWEST)
    assert fit.asymptote == pytest.approx(top / 2, rel=0.03)
    assert fit.range_error == pytest.approx(top / 2, rel=0.03)
    known = dataclasses.replace(a_ladder({"base": law}, rungs=3, sd=0.0), floor=2.0)
    assert fit_scaling(known).asymptote == pytest.approx(2.0, abs=1e-3)  # a bound above the truth


def test_one_stray_seed_of_five_moves_the_curve_little() -> None:
    ladder = a_ladder({"base": law}, seeds=5, sd=0.004)
    rows = [dict(row) for row in ladder.losses["base"]]
    rows[2][4] += 0.5
    stray = dataclasses.replace(ladder, losses={"base": rows})
    plain = stray.mean[0, 2] - ladder.mean[0, 2]
    robust = fit_scaling(stray).means[0, 2] - fit_scaling(ladder).means[0, 2]
    assert plain == pytest.approx(0.1)
    assert abs(robust) < 0.35 * plain


def test_misfit_is_what_seed_noise_does_not_explain() -> None:
    ladder = a_ladder({"base": law}, rungs=5, seeds=3, sd=0.002, seed=4)
    assert misfit_sd(ladder, fit_scaling(ladder)) < 0.005
    bent = shifted(ladder, "base", 2, 0.05)
    fit = fit_scaling(bent)
    found = misfit_sd(bent, fit)
    assert ((fit.residuals(bent) ** 2) / (fit.variance + found**2)).sum() == pytest.approx(2)
    assert 0.01 < found < 0.08
    few = a_ladder({"base": law}, rungs=3, seeds=3, sd=0.002)
    assert math.isnan(misfit_sd(few, fit_scaling(few)))


def test_a_kink_is_the_change_of_slope_between_steps() -> None:
    """Without noise, three points of one arm have one change of slope, which is known here."""
    ladder = a_ladder({"base": law}, rungs=3)
    assert fit_scaling(ladder).kink < 1e-4
    fit = dataclasses.replace(fit_scaling(ladder), asymptote=1.0)
    above, step = np.log(ladder.mean[0] - 1.0), math.log(10)
    change = (above[2] - above[1]) / step - (above[1] - above[0]) / step
    assert kink_sd(ladder, fit) == pytest.approx(abs(change), rel=1e-3)
    assert kink_sd(a_ladder({"base": law}, rungs=2), fit) == 0.0


@pytest.mark.parametrize(("rungs", "seeds"), [(3, 3), (5, 2), (5, 3)])
def test_noise_alone_shows_a_kink_no_more_often_than_the_level(rungs: int, seeds: int) -> None:
    """Changes of slope share rungs, and few seeds tell little about the noise."""
    kinks = [
        fit_scaling(a_ladder(CURVES, rungs=rungs, seeds=seeds, sd=0.01, seed=seed)).kink
        for seed in range(200)
    ]
    assert np.mean(np.array(kinks) > 0) < 0.1 + 1.65 * math.sqrt(0.1 * 0.9 / 200)


def test_a_bent_curve_shows_its_kink() -> None:
    bent = shifted(a_ladder(CURVES, seeds=3, sd=0.002), "base", 2, 0.03)
    assert 0.01 < fit_scaling(bent).kink < 0.08
