"""The waves of a sequential study: who gets another seed, who ends, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.sequential_test import Rule
from lmlab.study.statistics import compare
from lmlab.study.t_test import Pairs
from lmlab.study.verdicts import judge
from lmlab.study.wave_forecast import decide_waves
from lmlab.study.wave_section import describe_ends
from lmlab.study.waves import Waves, follow_waves
from tests.support.simulated_verdicts import SimulatedRuns, a_study

Loss = Callable[[str, int], float | None]


def a_sequential_study(arms: int = 2, **changes: object) -> Manifest:
    fields = {
        "lr": "fixed", "look": "sequential", "max_seeds": 8, "test": "auto", "margin": 0.05,
        "futility": 0.0,
    }  # fmt: skip
    return a_study(arms, **(fields | changes))  # type: ignore[arg-type]


def outcome(loss: float | None) -> TrialOutcome:
    return TrialOutcome("diverged" if loss is None else "done", loss, 9.0)


def run_out(manifest: Manifest, loss: Loss) -> tuple[Waves, dict[Job, TrialOutcome]]:
    """Run what each wave requires until none requires more."""
    outcomes: dict[Job, TrialOutcome] = {}
    while True:
        waves = follow_waves(manifest, outcomes)
        required = manifest.required_jobs(outcomes, granted=waves.seeds)
        fresh = [job for job in required if job not in outcomes]
        if not fresh:
            return waves, outcomes
        outcomes |= {job: outcome(loss(job.arm, job.seed)) for job in fresh}


def noisy(effects: Mapping[str, float], sd: float = 0.01, key: int = 0) -> Loss:
    def loss(arm: str, seed: int) -> float:
        chance = np.random.default_rng([key, int(arm.removeprefix("arm")), seed])
        return 3.0 + effects.get(arm, 0.0) + chance.normal(0, sd)

    return loss


def test_arms_end_at_different_seeds_and_the_baseline_with_the_last() -> None:
    waves, outcomes = run_out(a_sequential_study(), noisy({"arm1": 1.0, "arm2": 0.04}))
    assert waves.ends["arm1"] == "worse" and waves.seeds["arm1"] == 3
    assert waves.seeds["arm0"] == waves.seeds["arm2"] > 3
    trained = {arm: sum(job.arm == arm for job in outcomes) for arm in waves.seeds}
    assert trained == waves.seeds


def test_a_study_that_is_resumed_takes_the_same_waves() -> None:
    study, loss = a_sequential_study(), noisy({"arm1": 0.02, "arm2": 0.05})
    waves, outcomes = run_out(study, loss)
    rng = np.random.default_rng(0)
    for _ in range(5):  # whichever runs the kill has left
        left = {job: one for job, one in outcomes.items() if rng.random() < 0.5}
        while left != outcomes:
            granted = follow_waves(study, left).seeds
            required = study.required_jobs(left, granted=granted)
            fresh = [job for job in required if job not in left]
            assert fresh and set(fresh) <= set(outcomes)
            left |= {job: outcomes[job] for job in fresh[:1]}
        assert follow_waves(study, left) == waves


def test_equal_arms_end_with_no_difference() -> None:
    waves, _ = run_out(a_sequential_study(margin=0.1), noisy({}))
    assert set(waves.ends.values()) == {"no difference"}
    assert max(waves.seeds.values()) < 8


def test_an_arm_that_stays_undecided_uses_all_seeds() -> None:
    study = a_sequential_study(1, margin=0.0)
    waves, outcomes = run_out(study, lambda arm, seed: 3.0 + 0.01 * (-1) ** seed * (arm == "arm1"))
    assert waves == Waves({"arm0": 8, "arm1": 8}, {"arm1": "max_seeds"})
    assert "these are all seeds" in describe_ends(study, outcomes)[0]


def test_an_arm_without_prospects_ends_early() -> None:
    study = a_sequential_study(1, margin=0.0, futility=0.05)
    waves, _ = run_out(study, lambda arm, seed: 3.0 + 0.01 * (-1) ** seed * (arm == "arm1"))
    assert waves.ends == {"arm1": "futility"} and waves.seeds["arm1"] < 8


def test_a_diverged_arm_ends_and_a_diverged_baseline_ends_all() -> None:
    def breaks(broken: str) -> Loss:
        normal = noisy({})
        return lambda arm, seed: None if (arm, seed) == (broken, 1) else normal(arm, seed)

    waves, _ = run_out(a_sequential_study(margin=0.0), breaks("arm1"))
    assert waves.ends == {"arm1": "diverged", "arm2": "max_seeds"}
    waves, _ = run_out(a_sequential_study(margin=0.0), breaks("arm0"))
    assert set(waves.ends.values()) == {"baseline lost"}
    assert set(waves.seeds.values()) == {3}


def test_runs_of_a_study_are_limited() -> None:
    study = a_sequential_study(margin=0.0, max_runs=13)
    waves, outcomes = run_out(study, noisy({}))
    assert len(outcomes) == 12  # three arms of four seeds; a fifth would make fifteen runs
    assert set(waves.ends.values()) == {"max_runs"}


def test_time_is_asked_for_before_a_wave_that_needs_new_runs() -> None:
    study = a_sequential_study(margin=0.0)
    _, outcomes = run_out(study, noisy({}))
    full = follow_waves(study, outcomes, has_time=lambda: False)
    assert set(full.seeds.values()) == {8}  # all runs are there
    first = {job: one for job, one in outcomes.items() if job.seed < 4}
    stopped = follow_waves(study, first, has_time=lambda: False)
    assert set(stopped.seeds.values()) == {4} and set(stopped.ends.values()) == {"max_minutes"}


def test_a_failed_run_holds_back_its_arm_only() -> None:
    study, loss = a_sequential_study(margin=0.0), noisy({})
    outcomes = run_out(study, loss)[1]
    (arm, seed) = "arm1", 3
    outcomes = {j: o for j, o in outcomes.items() if (j.arm, j.seed) != (arm, seed)}
    waves = follow_waves(study, outcomes)
    assert waves.seeds == {"arm0": 8, "arm1": 4, "arm2": 8}
    assert waves.ends["arm1"] == "unfinished"


def test_the_replicate_takes_part() -> None:
    study = a_sequential_study(1, replicate="again", margin=0.1)
    waves, outcomes = run_out(
        study, lambda arm, seed: noisy({})("arm9" if arm == "again" else arm, seed)
    )
    assert waves.ends["again"] == "no difference"
    assert {job.seed for job in outcomes if job.arm == "again"} >= {2000, 2001, 2002}


@pytest.mark.parametrize("effect", [0.0, 0.8, 2.0])
def test_many_arms_at_once_end_like_single_ones(effect: float) -> None:
    """The forecast follows waves by arrays; the study by verdicts, one arm at a time."""
    rule = Rule(seeds=8, margin=1.2, min_seeds=3, futility=0.1)
    pairs = effect + np.random.default_rng(7).normal(size=(60, 8))
    codes, seeds = decide_waves(pairs, rule)
    names = ["inconclusive", "worse", "better", "no difference", "inconclusive"]
    for x, code, number in zip(pairs, codes, seeds, strict=True):
        (found,) = compare([Pairs(list(x[:number]))], rule)
        assert found.verdict == names[code]
        if number > 3:
            before = compare([Pairs(list(x[: number - 1]))], rule)[0]
            assert before.verdict == "inconclusive"


def test_waves_of_a_study_agree_with_the_arrays() -> None:
    study = a_sequential_study(1, margin=0.015, futility=0.1)
    design = study.comparison
    assert design is not None
    rule = Rule(seeds=8, margin=0.015, min_seeds=3, futility=0.1)
    for key in range(12):
        loss = noisy({"arm1": 0.01 * (key % 3)}, key=key)
        waves, outcomes = run_out(study, loss)
        x = np.array([loss("arm1", seed) - loss("arm0", seed) for seed in range(8)])  # type: ignore[operator]
        code, number = decide_waves(x, rule)
        ends = ["max_seeds", "worse", "better", "no difference", "futility"]
        assert (waves.ends["arm1"], waves.seeds["arm1"]) == (ends[int(code)], int(number))
        (verdict,) = judge(study, outcomes)
        assert verdict.label == (waves.ends["arm1"] if code in (1, 2, 3) else "inconclusive")


def test_a_fixed_study_has_no_ends() -> None:
    assert describe_ends(a_study(1), {}) == []


def test_waves_of_a_search_begin_when_the_rates_are_known() -> None:
    study = a_sequential_study(1, lr="search", at_baseline_lr=True)
    waves = follow_waves(study, {})
    assert set(waves.ends.values()) == {"unfinished"}
    assert dataclasses.asdict(waves)["seeds"] == {"arm0": 3, "arm1": 3}


def test_comparisons_at_the_baselines_rate_get_no_waves() -> None:
    study = a_sequential_study(1, lr="search", at_baseline_lr=True, margin=0.0)
    runs = SimulatedRuns([0.0], np.random.default_rng(3))
    runs.run_waves(study)
    required = study.required_jobs(runs.outcomes, granted=follow_waves(study, runs.outcomes).seeds)
    seeds = {
        purpose: {job.seed for job, own in required.items() if job.arm == "arm1" and purpose in own}
        for purpose in ("judged", "baseline's lr")
    }
    assert seeds["baseline's lr"] == {0, 1, 2} < seeds["judged"]
