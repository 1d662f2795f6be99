"""Predicted power of ladders: limits without noise and with too much, and what raises it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from lmlab.study.ladders.ladder_power import PlannedLadder, predict_power

COST = [float(cost) for cost in 4e11 * np.geomspace(1, 100, 4)]
PLAN = PlannedLadder(COST, [3] * 4, [0.02, 0.015, 0.01, 0.008], (4.7, 3.1), 1.7)


def test_drawn_ladders_have_the_expected_means_noise_and_gains() -> None:
    plan = dataclasses.replace(PLAN, seeds=[4000] * 4, arm_noise=1.5)
    ladder = plan.draw(0.4, 0.1, np.random.default_rng(1))
    arm, base = ladder.mean
    assert base[[0, -1]] == pytest.approx([4.7, 3.1], abs=3e-3)
    # On the power law through both ends, at a gain times the cost.
    exponent = math.log(3.0 / 1.4) / math.log(100)
    assert arm - 1.7 == pytest.approx(
        (base - 1.7) * np.exp(-exponent * np.linspace(0.4, 0.1, 4)), abs=3e-3
    )
    assert ladder.sd == pytest.approx(np.outer([1.5, 1], plan.sd), rel=0.06)
    assert ladder.correlation == pytest.approx(0.5, abs=0.03)
    apart = dataclasses.replace(plan, paired=False).draw(0.4, 0.1, np.random.default_rng(1))
    assert not set(apart.losses["arm"][0]) & set(apart.losses["baseline"][0])
    assert apart.sd == pytest.approx(np.outer([1.5, 1], plan.sd), rel=0.06)
    shifted = dataclasses.replace(PLAN, rate_sd=[0.1] * 4).draw(0, 0, np.random.default_rng(1))
    assert shifted.rate_var == pytest.approx(np.full((2, 4), 0.01))
    assert np.abs(shifted.mean - ladder.mean).max() > 0.03


def test_without_noise_the_word_is_certain_and_with_much_there_is_none() -> None:
    quiet = dataclasses.replace(PLAN, sd=[1e-4] * 4)
    for first, last, word in ((0.3, 0.3, "holds"), (0, 0, "no difference"), (0.3, 0.1, "shrinks")):
        found = predict_power(quiet, first, last, draws=3)
        assert found.words == {word: 1.0}
        assert max(found.half_widths) < 0.01
    loud = predict_power(dataclasses.replace(PLAN, sd=[0.2] * 4), 0.1, 0.1, draws=12)
    assert loud.words["cannot tell"] > 0.7


def test_more_seeds_raise_power_and_more_arms_lower_it() -> None:
    plan = dataclasses.replace(PLAN, sd=[0.03] * 4)
    few = predict_power(plan, 0.3, 0.3, draws=16)
    many = predict_power(dataclasses.replace(plan, seeds=[10] * 4), 0.3, 0.3, draws=16)
    plan = dataclasses.replace(plan, seeds=[4] * 4)
    alone = predict_power(plan, 0.2, 0.2, draws=16)
    arms = predict_power(plan, 0.2, 0.2, family=50, draws=16)
    assert many.words.get("holds", 0) > few.words.get("holds", 0) + 0.2
    assert arms.words.get("cannot tell", 0.0) > alone.words.get("cannot tell", 0.0)
    assert many.half_widths[-1] < few.half_widths[-1]
    assert sum(few.words.values()) == pytest.approx(1)
