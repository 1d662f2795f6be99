"""When enough updates are timed, and what their times say."""

from __future__ import annotations

import itertools

import pytest

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.preflight.step_timing import StepTiming, spread


def ends_of(*seconds: float) -> list[float]:
    return [0.0, *itertools.accumulate(seconds)]


def steps_until_enough(timing: StepTiming, seconds: float) -> int:
    ends = [0.0]
    while not timing.is_enough(ends):
        ends.append(ends[-1] + seconds)
    return timing.log_every * (len(ends) - 1)


def test_a_prediction_times_a_share_of_the_run_but_not_for_long() -> None:
    short = StepTiming.short(resolve(compose(["training.steps=600"])).workload)
    assert steps_until_enough(short, 0.1) == 20
    assert steps_until_enough(short, 0.001) == 30, "the most"
    assert steps_until_enough(short, 3.0) == 2, "four seconds are over"
    assert short.typical(short.step_seconds(ends_of(9, 1, 2, 3))) == 2.5, "the median"


def test_the_length_of_a_run_rests_on_a_share_of_its_time() -> None:
    workload = resolve(compose(["training.log_every=10"])).workload
    two_minutes = StepTiming.long(workload, 120.0, "cpu")
    assert steps_until_enough(two_minutes, 0.01) == pytest.approx(400, abs=1)
    an_hour = StepTiming.long(workload, 3600.0, "cpu")
    assert steps_until_enough(an_hour, 0.01) == pytest.approx(3000, abs=1), "30 seconds at most"
    assert steps_until_enough(an_hour, 100.0) == 1, "an update longer than the measurement"
    on_gpu = StepTiming.long(workload, 120.0, "cuda")
    assert steps_until_enough(on_gpu, 1.0) == 40, "ten updates per second that is read"
    assert on_gpu.step_seconds([0.0, 1.0, 2.0]) == [0.1, 0.1]


def test_the_first_third_is_a_warm_up_and_the_mean_of_the_rest_counts() -> None:
    timing = StepTiming.long(resolve(compose([])).workload, 120.0, "cpu")
    counted = timing.step_seconds(ends_of(5, 1, 1, 4, 4))
    assert counted == [1, 1, 4, 4]
    assert timing.typical(counted) == 2.5
    assert timing.step_seconds([0.0, 7.0]) == [7.0], "one update that takes all of the time"


def test_the_spread_is_that_between_parts() -> None:
    assert spread([1.0] * 50) == 0
    assert spread([1.0, 3.0] * 25) == 0, "noise of single updates averages out"
    drifting = [0.8] * 10 + [0.9] * 10 + [1.0] * 10 + [1.1] * 10 + [1.2] * 10
    assert spread(drifting) == pytest.approx(0.1581, abs=1e-4)  # sd of 0.8, 0.9 ... 1.2
    assert spread([1.0, 2.0]) is None
