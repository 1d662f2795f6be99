"""Sequential verdicts on simulated studies: their level, their power, and the pairs that they take.

``tests/support/simulated_sequential.py`` makes the tables of docs/verdicts.md from 10,000 studies
per cell; here are fewer.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from simulated_sequential import (
    BETTER,
    EQUAL,
    FUTILE,
    MARGIN,
    NOISES,
    OPEN,
    TODAY,
    WORSE,
    at_equal_power,
    differences,
    follow,
)

from lmlab.design.job import Job
from lmlab.design.search import TrialOutcome
from lmlab.study.run_records import load_study
from lmlab.study.sequential_test import Rule
from lmlab.study.verdicts import judge
from lmlab.study.waves import follow_waves
from tests.support.replay_sequential import replay
from tests.support.simulated_verdicts import a_study

RULE = Rule(seeds=8, min_seeds=3, margin=0.0, futility=0.05)
ABLATIONS = Path(__file__).parents[3] / "experiments" / "ablations"


def share(codes: np.ndarray, *wanted: int) -> float:
    return float(np.isin(codes, wanted).any(axis=1).mean())


def highest(level: float, studies: int) -> float:
    """The level, and three standard errors of a simulated share."""
    return level + 3 * math.sqrt(level * (1 - level) / studies)


@pytest.mark.parametrize("noise", list(NOISES)[:4])
@pytest.mark.parametrize("arms", [1, 3])
def test_false_verdicts_keep_the_level(noise: str, arms: int) -> None:
    x = differences(noise, arms, 8, (11, arms), 1500)
    patient = dataclasses.replace(RULE, futility=0.0)
    assert share(follow(x, patient)[0], WORSE, BETTER) <= highest(0.05, 1500)


@pytest.mark.parametrize("noise", list(NOISES)[:4])
def test_false_claims_of_no_difference_keep_the_level(noise: str) -> None:
    x = MARGIN + differences(noise, 1, 8, (12,), 1500)
    codes, _ = follow(x, dataclasses.replace(RULE, margin=MARGIN))
    assert share(codes, EQUAL) <= highest(0.05, 1500)


@pytest.mark.long
def test_large_effects_take_fewer_pairs_than_two_looks() -> None:
    found = at_equal_power(TODAY, 1, 1000)
    assert found.powers[1] >= found.powers[0] > 0.75
    assert found.ratios[0] < 0.75 and found.ratios[1] < 1.05
    assert found.ratios[2] < 0.95 and found.ratios[3] < 0.78


def test_arms_end_like_those_of_a_study() -> None:
    """The arrays, with Holm's method, against the waves and verdicts of studies."""
    ends = {OPEN: "max_seeds", WORSE: "worse", BETTER: "better", EQUAL: "no difference",
            FUTILE: "futility"}  # fmt: skip
    for key in range(4):
        effects = np.array([[0.0], [0.03], [0.4]]) * (key % 4)
        x = effects + differences("normal", 3, 8, (13, key), 1) * 0.02
        rule = dataclasses.replace(RULE, margin=0.015)
        codes, pairs = follow(x, rule)
        study = a_study(3, lr="fixed", look="sequential", max_seeds=8, margin=0.015, test="auto")
        outcomes = {
            Job(f"arm{arm}", 3e-3, seed): TrialOutcome(
                "done", 3.0 + (x[0, arm - 1, seed] if arm else 0.0), 9.0
            )
            for arm in range(4)
            for seed in range(8)
        }
        waves = follow_waves(study, outcomes)
        for arm, code, number in zip(("arm1", "arm2", "arm3"), codes[0], pairs[0], strict=True):
            assert waves.seeds[arm] == number
            if waves.ends[arm] != "futility":  # a later wave may find it at a higher level
                assert waves.ends[arm] == ends[int(code)]
        assert len(judge(study, outcomes)) == 3


@pytest.mark.long
def test_recorded_runs_in_their_order_reverse_no_verdict() -> None:
    found = replay(load_study(ABLATIONS))
    assert found.reversed_arms == []
    decided = {"better", "worse", "no difference"}
    opened = [
        arm
        for arm, verdict in found.replayed.items()
        if verdict.label not in decided and found.recorded[arm].label in decided
    ]
    assert opened == []
    assert found.recorded_runs == 263 and found.runs < 0.85 * found.fixed_runs


@pytest.mark.exhaustive
@pytest.mark.parametrize("most", range(3, 14))
@pytest.mark.parametrize("noise", list(NOISES)[:4])
def test_false_verdicts_keep_the_level_at_any_number_of_seeds(noise: str, most: int) -> None:
    studies = 20_000
    x = differences(noise, 1, most, (14, most), studies)
    rule = Rule(seeds=most, min_seeds=min(3, most), margin=0.0)
    assert share(follow(x, rule)[0], WORSE, BETTER) <= highest(0.05, studies)
