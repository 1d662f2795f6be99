"""Verdicts on ladders with little noise are the true words; advice and correction over arms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from small_ladders import LOWEST, a_ladder, gained, law

from lmlab.study.ladders.compute_gain import compute_gains
from lmlab.study.ladders.gain_trend import GainTrend, fit_trend
from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.ladder_verdict import LadderRule, _Line, _with_rung, judge_trends
from lmlab.study.ladders.scaling_fit import fit_scaling

RULE = LadderRule()
SPAN = math.log(100)


def trend_of(ladder: LadderLosses) -> GainTrend:
    fit = fit_scaling(ladder)
    trend = fit_trend(ladder, fit, compute_gains(ladder, fit))
    assert trend is not None
    return trend


def line_from(first: float, last: float, sd: float = 0.002, seed: int = 0) -> GainTrend:
    slope = (last - first) / SPAN
    return trend_of(a_ladder({"arm": gained(first, slope), "base": law}, sd=sd, seed=seed))


@pytest.mark.parametrize(
    ("first", "last", "word"),
    [
        (0.0, 0.0, "no difference"),
        (0.01, -0.01, "no difference"),
        (0.3, 0.3, "holds"),
        (-0.3, -0.3, "holds"),
        (0.1, 0.4, "grows"),
        (-0.1, -0.4, "grows"),
        (0.4, 0.15, "shrinks"),
        (-0.4, -0.15, "shrinks"),
        (0.4, 0.0, "vanishes"),
        (-0.4, 0.0, "vanishes"),
        (0.3, -0.2, "reverses"),
        (-0.3, 0.2, "reverses"),
    ],
)
def test_with_little_noise_the_word_is_the_true_one(first: float, last: float, word: str) -> None:
    assert judge_trends({"arm": line_from(first, last)}, RULE)["arm"].label == word


def test_noise_leaves_it_open_and_the_advice_would_decide() -> None:
    trend = line_from(0.3, 0.3, sd=0.1, seed=2)
    trend = dataclasses.replace(trend, log_gain=np.full(5, 0.3))  # with the errors of its noise
    found = judge_trends({"arm": trend}, RULE)["arm"]
    assert found.label == "cannot tell"
    assert found.more_seeds is not None and found.more_seeds >= 1
    assert f"{found.more_seeds} more seed" in found.detail
    if found.rung_cost is not None:
        last = 100 * LOWEST
        assert last < found.rung_cost <= 10 * last * (1 + 1e-9)
        assert f"a rung at about {found.rung_cost:.1e}" in found.detail
    certain = judge_trends({"arm": line_from(0.3, 0.3)}, RULE)["arm"]
    assert (certain.rung_cost, certain.more_seeds, certain.detail) == (None, None, "holds")


def test_more_noise_needs_more_seeds() -> None:
    needed = []
    for sd in (0.1, 0.2):
        trend = line_from(0.25, 0.25, sd=sd, seed=2)
        # The same line with the errors of its own noise.
        level = dataclasses.replace(trend, log_gain=np.full(5, 0.25))
        found = judge_trends({"arm": level}, RULE)["arm"]
        assert found.label == "cannot tell"
        needed.append(found.more_seeds)
    assert needed[0] is not None and (needed[1] is None or needed[1] > needed[0])


def test_no_number_of_seeds_makes_up_for_uncertain_rates() -> None:
    trend = line_from(0.3, 0.3, sd=0.1, seed=1)
    unsure = dataclasses.replace(trend.pair, rate_variance={"arm": [0.1**2] * 5})
    trend = dataclasses.replace(trend, log_gain=np.full(5, 0.3), pair=unsure)
    found = judge_trends({"arm": trend}, RULE)["arm"]
    assert (found.label, found.more_seeds) == ("cannot tell", None)


def test_a_larger_family_of_arms_is_harder_to_convince() -> None:
    trend = line_from(0.2, 0.2, sd=0.03, seed=4)
    alone = judge_trends({"arm": trend}, RULE)["arm"]
    many = judge_trends({"arm": trend}, RULE, family=12)["arm"]
    assert alone.p == pytest.approx(min(1, 2 * min(alone.first.p, alone.last.p)))
    assert many.level == pytest.approx(RULE.alpha / 12)
    assert alone.level == RULE.alpha
    assert many.adjusted_p == pytest.approx(min(1, 12 * alone.p))
    beside = {"arm": trend, **{f"null{i}": line_from(0, 0, 0.03, i) for i in range(5, 8)}}
    assert judge_trends(beside, RULE)["arm"].adjusted_p >= alone.p


def test_one_more_rung_is_that_of_least_squares_with_one_more_point() -> None:
    """Three points on a line, errors independent: the covariance from scratch."""
    x, errors = np.array([0.0, 2.0, 4.0, 5.5]), np.array([0.1, 0.05, 0.07, 0.04])

    def ends(points: int, last: float) -> tuple[np.ndarray, np.ndarray]:
        design = np.stack([np.ones(points), x[:points]], axis=1)
        weighted = design / errors[:points, None] ** 2
        of_line = np.linalg.inv(design.T @ weighted)
        values = design @ [0.3, -0.02]
        read = np.array([[1.0, 0.0], [1.0, last]])
        return read @ of_line @ (weighted.T @ values), read @ of_line @ read.T

    values, covariance = ends(3, 4.0)
    line = _Line(values, covariance, 0 * covariance, 4.0, {(1.0, 0.0): 5.0})
    found = _with_rung(line, 1.5, 0.04, seeds=3)
    values, covariance = ends(4, 5.5)
    assert found.values == pytest.approx(values)
    assert found.covariance == pytest.approx(covariance)
    assert (found.span, found.freedom) == (5.5, {(1.0, 0.0): 7.0})
