from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR

from lmlab.errors import ConfigError
from lmlab.optim.lr_schedule import constant, cosine, inverse_sqrt, linear, wsd

Schedule = Callable[[int], float]
COSINE = functools.partial(cosine, total_steps=100, warmup_steps=10, min_lr_ratio=0.1)
LINEAR = functools.partial(linear, total_steps=100, warmup_steps=10, min_lr_ratio=0.1)
WSD = functools.partial(wsd, total_steps=100, warmup_steps=10, decay_fraction=0.2, min_lr_ratio=0.1)
CONSTANT = functools.partial(constant, total_steps=100, warmup_steps=10)
INVERSE_SQRT = functools.partial(
    inverse_sqrt, total_steps=100, warmup_steps=10, decay_fraction=0.25
)
ALL = [COSINE, LINEAR, WSD, CONSTANT, INVERSE_SQRT]


@pytest.mark.parametrize("schedule", ALL)
def test_warm_up_starts_above_zero_and_ends_at_the_peak(schedule: Schedule) -> None:
    assert [schedule(step) for step in range(10)] == pytest.approx([n / 10 for n in range(1, 11)])
    assert schedule(9) == 1.0


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
        (INVERSE_SQRT, 39, 0.5),  # the 40th update: sqrt(10 / 40)
        (INVERSE_SQRT, 75, math.sqrt(10 / 76)),
        (INVERSE_SQRT, 80, 0.8 * math.sqrt(10 / 81)),  # a fifth of the cooldown is over
        (INVERSE_SQRT, 100, 0.0),
        (functools.partial(INVERSE_SQRT, decay_fraction=0.0), 249, 0.2),
        (functools.partial(INVERSE_SQRT, decay_shape="sqrt"), 91, 0.6 * math.sqrt(10 / 92)),
        (functools.partial(WSD, decay_shape="1-sqrt"), 80, 1.0),
        (functools.partial(WSD, decay_shape="1-sqrt"), 85, 0.1 + 0.9 / 2),  # 1 - sqrt(1 / 4)
        (functools.partial(WSD, decay_shape="1-sqrt"), 100, 0.1),
        (functools.partial(WSD, decay_shape="sqrt"), 80, 1.0),
        (functools.partial(WSD, decay_shape="sqrt"), 95, 0.1 + 0.9 / 2),  # sqrt(1 / 4)
        (functools.partial(WSD, decay_shape="sqrt"), 10_000, 0.1),
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
    for schedule in (COSINE, LINEAR, WSD, CONSTANT):
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
        (
            lambda: WSD(0, decay_shape="square"),
            "schedule.decay_shape=square: expected one of linear, sqrt, 1-sqrt",
        ),
        (lambda: INVERSE_SQRT(0, warmup_steps=0), "schedule.warmup_steps=0: expected 1 or more"),
        (lambda: INVERSE_SQRT(0, decay_fraction=0.95), "during the warm-up of 10 steps"),
        (
            lambda: LINEAR(0, warmup_tokens=6500, tokens_per_step=64),
            "schedule.warmup_tokens=6500, 102 steps: expected 0 to training.steps=100",
        ),
        (
            lambda: LINEAR(0, warmup_tokens=-1.0, tokens_per_step=64),
            "schedule.warmup_tokens=-1.0: expected a finite number of 0 or more",
        ),
        (
            lambda: COSINE(0, warmup=0.1, warmup_tokens=5e4, tokens_per_step=64),
            "schedule.warmup=0.1 and schedule.warmup_tokens=50000: expected one length",
        ),
    ],
)
def test_settings_out_of_range_are_named(call: Callable[[], float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        call()
    assert message in error.value.message


@pytest.mark.parametrize("schedule", ALL)
def test_a_warmup_may_be_in_tokens(schedule) -> None:
    for step in range(101):  # 770 / 64 = 12.03, and the nearest number counts
        in_steps = schedule(step, warmup_steps=12)
        assert schedule(step, warmup_tokens=770, tokens_per_step=64) == in_steps
        assert schedule(step, warmup_tokens=7.7e2, tokens_per_step=32) == schedule(
            step, warmup_steps=24
        )


def test_linear_and_cosine_to_zero_equal_those_of_torch() -> None:
    for ours, theirs in (
        (LINEAR, lambda o: LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=100)),
        (COSINE, lambda o: CosineAnnealingLR(o, T_max=100)),
    ):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        scheduler = theirs(optimizer)
        for step in range(100):
            expected = optimizer.param_groups[0]["lr"]
            assert ours(step, warmup_steps=0, min_lr_ratio=0.0) == pytest.approx(expected, abs=1e-9)
            optimizer.step()
            scheduler.step()


@pytest.mark.parametrize("schedule", ALL)
def test_a_warmup_may_be_a_fraction_of_the_steps(schedule) -> None:
    for step in range(101):
        in_steps = schedule(step, total_steps=150, warmup_steps=12)
        assert schedule(step, total_steps=150, warmup_steps=50, warmup=0.08) == in_steps


@pytest.mark.parametrize("warmup", [-0.1, 1.5, 8])
def test_a_fraction_is_between_0_and_1(warmup: float) -> None:
    with pytest.raises(ConfigError, match=rf"schedule\.warmup={warmup}: expected 0 to 1"):
        COSINE(0, warmup=warmup)
