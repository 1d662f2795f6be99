"""Forecasts of sequential studies: against exact power, and how they move with the effect."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lmlab.study.noncentral_t import upper_tail
from lmlab.study.power import predicted_power, smallest_detectable
from lmlab.study.sequential_test import Rule
from lmlab.study.t_test import t_bound
from lmlab.study.wave_forecast import decide_waves, forecast

RULE = Rule(seeds=8, margin=0.0, min_seeds=3, futility=0.05)


def test_one_look_has_the_exact_power() -> None:
    rule = Rule(seeds=6, margin=0.0, min_seeds=6)
    exact = upper_tail(t_bound(0.05, 5), 5, 1.2 * np.sqrt(6))
    assert forecast(1.2, 1.0, rule).found == pytest.approx(exact, abs=0.012)
    assert forecast(-2.4, 2.0, rule).found == pytest.approx(exact, abs=0.012)


def test_larger_effects_take_fewer_seeds_and_null_effects_end_as_futile() -> None:
    found = [forecast(effect, 1.0, RULE) for effect in (1.0, 2.0, 4.0, 50.0)]
    assert sorted((one.seeds for one in found), reverse=True) == [one.seeds for one in found]
    assert found[-1].seeds == 3 and found[-1].found == 1
    null = forecast(0.0, 1.0, RULE)
    assert null.futile > 0.8 and null.seeds < 7
    patient = forecast(0.0, 1.0, dataclasses.replace(RULE, futility=0.0))
    assert patient.seeds > null.seeds and patient.futile == 0


def test_wide_margins_end_with_no_difference() -> None:
    found = forecast(0.0, 1.0, dataclasses.replace(RULE, margin=3.0))
    assert found.equal > 0.95 and found.found < 0.01


def test_the_baseline_takes_as_many_seeds_as_the_arm_that_takes_most() -> None:
    found = forecast(1.0, 1.0, RULE, family=3, arms=3)
    assert found.seeds < found.baseline_seeds <= 8
    single = forecast(1.0, 1.0, RULE)
    assert single.seeds == single.baseline_seeds


def test_power_counts_futility_and_the_family() -> None:
    assert predicted_power(1.5, 1.0, RULE) == forecast(1.5, 1.0, RULE).found
    assert predicted_power(1.5, 1.0, RULE, 4) < predicted_power(1.5, 1.0, RULE)
    smallest = smallest_detectable(1.0, RULE)
    assert predicted_power(smallest, 1.0, RULE) == pytest.approx(0.8, abs=0.01)


def test_arms_are_followed_one_by_one() -> None:
    pairs = np.array([[1.0, 1.01, 0.99, 1.0] * 2, [1.0, -1.0, 1.0, -1.0] * 2])
    codes, seeds = decide_waves(pairs, dataclasses.replace(RULE, futility=0.0))
    assert codes.tolist() == [1, 0] and seeds.tolist() == [3, 8]
