"""Power laws: SciPy's regression, errors by hand, coverage of both kinds of interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lmlab.study.ladders.power_law import PowerLaw, fit_power_law, smooth_variances

X = [64.0, 128.0, 256.0, 512.0]
Y = [0.012, 0.0075, 0.0068, 0.0041]
ERRORS = [0.1, 0.08, 0.12, 0.05]


def a_law(weights: list[float] | None = None) -> PowerLaw:
    return fit_power_law(X, Y, ERRORS, [math.inf] * 4, weights)


def test_an_exact_law_is_found() -> None:
    law = fit_power_law(X, [3 * x**-0.4 for x in X], ERRORS, [4] * 4)
    assert law.slope == pytest.approx(-0.4)
    assert math.exp(law.log_value(math.log(1000))) == pytest.approx(3 * 1000**-0.4)
    assert law.scatter_p == pytest.approx(1)
    assert law.slope_interval_by_scatter() == pytest.approx((-0.4, -0.4))


def test_by_scatter_it_is_ordinary_regression() -> None:
    law, x, y = a_law([1.0] * 4), np.log(X), np.log(Y)
    reference = stats.linregress(x, y)
    assert law.slope == pytest.approx(reference.slope)
    half = stats.t.ppf(0.95, 2) * reference.stderr
    assert law.slope_interval_by_scatter() == pytest.approx(
        (reference.slope - half, reference.slope + half)
    )
    at = math.log(2048)
    low, high = law.interval_by_scatter(at)
    variance = ((y - reference.intercept - reference.slope * x) ** 2).sum() / 2
    lever = 1 + 1 / 4 + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.95, 2) * math.sqrt(variance * lever))
    assert (high + low) / 2 == pytest.approx(reference.intercept + reference.slope * at)


def test_by_errors_it_is_the_covariance_of_least_squares() -> None:
    """The weights are smoothed, so the covariance is that of a general linear estimate."""
    law, at = a_law(), math.log(2048)
    design = np.stack([np.ones(4), np.log(X)], axis=1)
    weighted = design * law.weights[:, None]
    solve = np.linalg.inv(design.T @ weighted) @ weighted.T
    assert law.slope == pytest.approx((solve @ np.log(Y))[1])
    covariance = solve @ np.diag(np.square(ERRORS)) @ solve.T
    low, high = law.slope_interval()
    assert (high - low) / 2 == pytest.approx(1.645 * math.sqrt(covariance[1, 1]), rel=1e-3)
    read = np.array([1.0, at])
    low, high = law.interval(at)
    assert (high - low) / 2 == pytest.approx(1.645 * math.sqrt(read @ covariance @ read), rel=1e-3)


def test_known_variances_are_weights_and_unsure_ones_are_shrunk() -> None:
    errors = np.array([0.02, 0.1, 0.5])
    assert smooth_variances(errors, np.full(3, math.inf)) == pytest.approx(errors**2, rel=1e-3)
    shrunk = np.log(smooth_variances(errors, np.full(3, 1.0)))
    assert np.ptp(shrunk) < 0.3 * np.ptp(np.log(errors**2))
    assert (np.diff(shrunk) > 0).all()


def test_two_points_have_no_scatter() -> None:
    law = fit_power_law(X[:2], Y[:2], ERRORS[:2], [4, 4])
    assert math.isnan(law.scatter_p)
    assert law.slope_interval_by_scatter() == (-math.inf, math.inf)
    low, high = law.slope_interval()
    error = math.hypot(*ERRORS[:2]) / math.log(2)
    assert stats.t.ppf(0.95, 8) * error < (high - low) / 2 < stats.t.ppf(0.95, 4) * error


@pytest.mark.parametrize(("freedom", "scatter"), [(2.0, 0.0), (math.inf, 0.3)])
def test_intervals_cover_as_they_say(freedom: float, scatter: float) -> None:
    """By errors where the points are on the law, by scatter where they are off it alike, too."""
    chance, hits, draws = np.random.default_rng(1), np.zeros(2), 600
    for _ in range(draws):
        seen = np.array(ERRORS)
        if math.isfinite(freedom):
            seen = seen * np.sqrt(chance.chisquare(freedom, size=4) / freedom)
        noise = np.hypot(ERRORS, scatter) * chance.normal(size=4)
        law = fit_power_law(X, np.exp(-0.4 * np.log(X) + noise), seen, [freedom] * 4)
        intervals = [law.slope_interval(), law.slope_interval_by_scatter()]
        hits += [low <= -0.4 <= high for low, high in intervals]
    allowed = 3 * math.sqrt(0.09 / draws)
    by_errors, by_scatter = hits / draws
    assert abs(by_scatter - 0.9) < allowed
    assert abs(by_errors - 0.89) < allowed if scatter == 0 else by_errors < 0.6


@pytest.mark.parametrize(
    ("x", "errors", "message"),
    [([64.0, 64.0], [0.1, 0.1], "two positive"), ([64.0, 128.0], [0.1, 0.0], "positive errors")],
)
def test_a_law_that_cannot_be_fitted_is_refused(
    x: list[float], errors: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_power_law(x, [1.0, 2.0], errors, [4, 4])
