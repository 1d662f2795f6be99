"""Standard errors of a ladder against SciPy's t tests and sums over seeds by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from small_ladders import a_ladder, gained, law

from lmlab.study.ladders.ladder_losses import LadderLosses, t_quantile, two_sided_p

LADDER = a_ladder({"arm": gained(0.2), "base": law}, rungs=4, seeds=4, sd=0.02)


def rows(ladder: LadderLosses, arm: str) -> np.ndarray:
    return np.array([list(row.values()) for row in ladder.losses[arm]])


def test_a_difference_at_a_rung_is_tested_as_by_the_paired_t_test() -> None:
    weights = np.zeros((2, 4))
    weights[:, 2] = 1, -1
    error, freedom = LADDER.error(weights)
    arm, base = rows(LADDER, "arm")[2], rows(LADDER, "base")[2]
    reference = stats.ttest_rel(arm, base)
    assert freedom == pytest.approx(3)
    assert arm.mean() - base.mean() == pytest.approx((weights * LADDER.mean).sum())
    found = two_sided_p(arm.mean() - base.mean(), float(error), float(freedom))
    assert found == pytest.approx(reference.pvalue, rel=1e-9)


def test_arms_that_share_no_seeds_are_tested_as_by_welch() -> None:
    other = [{seed + 10: loss for seed, loss in row.items()} for row in LADDER.losses["base"]]
    ladder = dataclasses.replace(LADDER, losses={**LADDER.losses, "base": other})
    weights = np.zeros((2, 4))
    weights[:, 0] = 1, -1
    error, freedom = ladder.error(weights)
    arm, base = rows(ladder, "arm")[0], rows(ladder, "base")[0]
    assert error == pytest.approx(math.sqrt(arm.var(ddof=1) / 4 + base.var(ddof=1) / 4))
    assert 3 <= freedom <= 6
    assert ladder.correlation == 0


def test_any_combination_has_the_error_of_its_sums_over_seeds() -> None:
    weights = np.random.default_rng(1).normal(size=(3, 2, 4))
    errors, freedoms = LADDER.error(weights, 0.01**2)
    for one, error, freedom in zip(weights, errors, freedoms, strict=True):
        sums = one[0][:, None] * rows(LADDER, "arm") + one[1][:, None] * rows(LADDER, "base")
        variance = (sums.var(axis=1, ddof=1) / 4).sum() + 0.01**2
        assert error == pytest.approx(math.sqrt(variance))
        assert freedom > 3


def test_expected_covariance_agrees_with_the_expected_errors_of_sums_and_differences() -> None:
    variance = {"arm": [0.01**2] * 4}
    ladder = dataclasses.replace(LADDER, rate_variance=variance)
    weights = np.random.default_rng(2).normal(size=(3, 2, 4))
    found = ladder.expected_covariance(weights)
    assert np.diag(found) == pytest.approx(ladder.expected_error(weights) ** 2)
    for i, j in ((0, 1), (1, 2)):
        total, gap = (
            ladder.expected_error(weights[i] + sign * weights[j]) ** 2 for sign in (1, -1)
        )
        assert found[i, j] == pytest.approx(float(total - gap) / 4)


def test_degrees_of_freedom_mix_observed_and_smooth_shares() -> None:
    weights = np.zeros((2, 4))
    weights[1, :2] = 1.0
    error, freedom = LADDER.error(weights)
    observed = rows(LADDER, "base")[:2].var(axis=1, ddof=1)
    smooth = LADDER.smooth_sd(LADDER.log_cost)[1, :2] ** 2
    share = 0.3 * observed / observed.sum() + 0.7 * smooth / smooth.sum()
    assert freedom == pytest.approx(3 / (share**2).sum())
    assert error == pytest.approx(math.sqrt(observed.sum() / 4))


def test_rate_variance_is_added_once_and_not_divided_by_the_seeds() -> None:
    weights = np.zeros((2, 4))
    weights[0, 1] = 2.0
    bare, _ = LADDER.error(weights)
    variance = {"arm": [0.0, 0.03**2, 0.0, 0.0]}
    error, _ = dataclasses.replace(LADDER, rate_variance=variance).error(weights)
    assert error**2 == pytest.approx(bare**2 + 4 * 0.03**2)


def test_smooth_noise_finds_levels_and_slope_from_many_seeds() -> None:
    many = a_ladder({"arm": gained(0.2), "base": law}, rungs=5, seeds=4000, sd=0.02, own=0.6)
    noise = many.smooth_sd(many.log_cost)
    assert noise == pytest.approx(many.sd, rel=0.08)
    assert many.correlation == pytest.approx(1 - 0.6**2, abs=0.02)
    # The correction for the mean of a logarithm: two seeds find the same level as many.
    two = a_ladder({str(i): law for i in range(400)}, rungs=3, seeds=2, sd=0.02, own=1.0)
    middle = two.smooth_sd(np.full((400, 1), np.log(4e12)))
    assert np.exp(np.log(middle).mean()) == pytest.approx(0.0147, rel=0.1)


def test_a_pair_keeps_the_seeds_that_both_have_or_all_if_they_share_none() -> None:
    rows = {"arm": [{1: 3.0, 2: 3.1, 3: 3.2}] * 2, "base": [{2: 3.0, 3: 3.3, 4: 3.2}, {7: 3, 8: 4}]}
    ladder = LadderLosses(rows, {"arm": [1, 2], "base": [1, 2]}).pair("arm", "base")
    assert [list(row) for row in ladder.losses["arm"]] == [[2, 3], [1, 2, 3]]
    assert [list(row) for row in ladder.losses["base"]] == [[2, 3], [7, 8]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cost": {"arm": [1, 2], "base": [2, 2]}}, "increasing costs"),
        ({"cost": {"arm": [1, 2], "base": [1, 2, 3]}}, "increasing costs"),
        ({"floor": 2.95}, "expected a loss > 2.95"),
        ({"rate_variance": {"arm": [0.0]}}, "rate variance for each rung"),
        ({"losses": {"arm": [{1: 3.0, 2: 3.1}] * 2, "base": [{1: 3.0}] * 2}}, "two finite losses"),
        ({"losses": {"arm": [{1: 3.0, 2: 3.1}] * 3, "base": [{1: 3.0}] * 2}}, "same two rungs"),
        ({"losses": {"arm": [{1: 3.0, 2: math.nan}] * 2}}, "two finite losses"),
    ],
)
def test_a_ladder_that_cannot_be_analysed_is_refused(
    changes: dict[str, object], message: str
) -> None:
    rows = [{1: 3.0, 2: 2.9}, {1: 2.8, 2: 2.9}]
    fields = {"losses": {"arm": rows, "base": rows}, "cost": {"arm": [1, 2], "base": [1, 2]}}
    with pytest.raises(ValueError, match=message):
        LadderLosses(**(fields | changes))  # type: ignore[arg-type]


def test_quantiles_are_those_of_scipy_with_infinite_freedom_too() -> None:
    freedom = np.array([1.0, 2.5, 40.0, math.inf])
    assert t_quantile(0.1, freedom) == pytest.approx(stats.t.ppf(0.95, freedom), rel=1e-8)
    assert two_sided_p(0.0, 0.0, 2) == 1.0
    assert two_sided_p(0.1, 0.0, 2) == 0.0
