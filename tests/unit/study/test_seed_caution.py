"""Which verdicts say that their seeds do not look alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from designs import a_design

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.seed_caution import seed_caution
from lmlab.study.verdicts import Verdict, judge


def verdict_of(differences: Sequence[float], test: str = "t") -> Verdict:
    """The verdict on an arm with these differences from a baseline without noise."""
    design = a_design(lr="fixed", at_baseline_lr=False, num_seeds=len(differences), test=test)
    content = {"optim": {"lr": 0.003}, "seed": 0, "seeds": {}}
    manifest = Manifest("s", "", [content] * 2, ["a", "b"], [[]] * 2, design)
    outcomes = {
        Job(arm, 0.003, seed): TrialOutcome("done", loss, 7.0)
        for arm, losses in (
            ("a", [3.0] * len(differences)),
            ("b", [3 + one for one in differences]),
        )
        for seed, loss in enumerate(losses)
    }
    (verdict,) = judge(manifest, outcomes)
    return verdict


def test_a_single_breakdown_is_told_at_a_verdict_of_any_test() -> None:
    """Twelve seeds agree and one broke down: the sign-flip test still finds the arm worse."""
    differences = [0.05 + 0.001 * number for number in range(12)] + [0.9]
    verdict = verdict_of(differences, "sign_flips")
    assert verdict.label == "worse"
    told = seed_caution(verdict, "sign_flips")
    assert told.startswith("the seeds do not look alike: 12 of 13 differences agree")
    assert "+0.900 with seed 12" in told


def test_an_inconclusive_arm_tells_its_breakdown_once() -> None:
    verdict = verdict_of([0.01, 0.02, 0.015, 0.012, 1.9])
    assert verdict.label == "inconclusive" and "far off" in verdict.detail
    assert seed_caution(verdict, "t") == ""


def test_differences_far_from_normal_are_told_where_the_test_assumes_normal_ones() -> None:
    differences = [0.05, 0.0501, 0.0502, 0.0503, 0.0504, 0.064, 0.0505, 0.0506]
    verdict = verdict_of(differences)
    assert not verdict.agreement
    assert "Shapiro-Wilk p = " in seed_caution(verdict, "t")
    assert seed_caution(verdict, "sign_flips") == "", "it holds for noise of any distribution"


def test_normal_seeds_rarely_raise_suspicion() -> None:
    chance = np.random.default_rng(0)
    told = [
        bool(seed_caution(verdict_of(chance.normal(0.0, 0.01, 5).tolist()), "t"))
        for _ in range(200)
    ]
    assert sum(told) <= 8
    assert seed_caution(verdict_of([0.1] * 5), "t") == ""
