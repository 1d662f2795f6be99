from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import pytest

from lmlab.errors import ConfigError
from lmlab.optim.lr_schedule import constant, cosine, linear, wsd

Schedule = Callable[[int], float]
COSINE = functools.partial(cosine, total_steps=100, warmup_steps=10, min_lr_ratio=0.1)
LINEAR = functools.partial(linear, total_steps=100, warmup_steps=10, min_lr_ratio=0.1)
WSD = functools.partial(wsd, total_steps=100, warmup_steps=10, decay_fraction=0.2, min_lr_ratio=0.1)
CONSTANT = functools.partial(constant, total_steps=100, warmup_steps=10)
ALL = [COSINE, LINEAR, WSD, CONSTANT]


@pytest.mark.parametrize("schedule", ALL)
def test_warm_up_starts_above_zero_and_ends_at_the_peak(schedule: Schedule) -> None:
    assert [schedule(step) for step in range(10)] == pytest.approx([n / 10 for n in range(1, 11)])
    assert schedule(10) == 1.0


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (COSINE, 55, 0.55),  # half way
        (COSINE, 32, 0.1 + 0.9 * (1 + math.cos(math.pi * 22 / 90)) / 2),
        (COSINE, 99, 0.1 + 0.9 * (1 + math.cos(math.pi * 89 / 90)) / 2),
        (COSINE, 100, 0.1),
        (COSINE, 10_000, 0.1),
        (LINEAR, 55, 0.55),
        (LINEAR, 99, 0.11),
        (LINEAR, 100, 0.1),
        (LINEAR, 10_000, 0.1),
        (WSD, 79, 1.0),
        (WSD, 80, 1.0),
        (WSD, 81, 1 - 0.9 / 20),
        (WSD, 90, 0.55),
        (WSD, 99, 0.1 + 0.9 / 20),
        (WSD, 100, 0.1),
        (WSD, 10_000, 0.1),
        (CONSTANT, 10_000, 1.0),
    ],
)
def test_factors_equal_those_worked_out_by_hand(
    schedule: Schedule, step: int, expected: float
) -> None:
    assert schedule(step) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", ALL)
def test_factors_stay_in_range_and_never_rise_after_warm_up(schedule: Schedule) -> None:
    factors = [schedule(step) for step in range(10, 120)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert all(b <= a for a, b in itertools.pairwise(factors))


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    for schedule in ALL:
        assert schedule(0, warmup_steps=0) == 1.0


def test_wsd_and_constant_can_be_extended() -> None:
    longer = functools.partial(WSD, total_steps=200)
    assert [WSD(step) for step in range(80)] == [longer(step) for step in range(80)]
    assert WSD(81) != longer(81)
    assert [CONSTANT(s) for s in range(100)] == [CONSTANT(s, total_steps=200) for s in range(100)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: COSINE(0, warmup_steps=101),
            "schedule.warmup_steps=101: expected 0 to training.steps=100",
        ),
        (
            lambda: LINEAR(0, warmup_steps=-1),
            "schedule.warmup_steps=-1: expected 0 to training.steps=100",
        ),
        (lambda: CONSTANT(0, warmup_steps=101), "expected 0 to training.steps=100"),
        (lambda: COSINE(0, min_lr_ratio=1.5), "schedule.min_lr_ratio=1.5: expected 0 to 1"),
        (lambda: WSD(0, decay_fraction=1.5), "schedule.decay_fraction=1.5: expected 0 to 1"),
        (lambda: WSD(0, decay_fraction=0.95), "during the warm-up of 10 steps"),
    ],
)
def test_settings_out_of_range_are_named(call: Callable[[], float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        call()
    assert message in error.value.message


@pytest.mark.parametrize("schedule", [COSINE, LINEAR, WSD, CONSTANT])
def test_a_warmup_may_be_a_fraction_of_the_steps(schedule) -> None:
    for step in range(101):
        in_steps = schedule(step, total_steps=150, warmup_steps=12)
        assert schedule(step, total_steps=150, warmup_steps=50, warmup=0.08) == in_steps


@pytest.mark.parametrize("warmup", [-0.1, 1.5, 8])
def test_a_fraction_is_between_0_and_1(warmup: float) -> None:
    with pytest.raises(ConfigError, match=rf"schedule\.warmup={warmup}: expected 0 to 1"):
        COSINE(0, warmup=warmup)
