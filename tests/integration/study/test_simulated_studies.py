"""Simulated studies with a known truth: error rates and power are as stated.

Everything but the training is real: the search for each arm's learning rate, the judging seeds,
the second look, and the verdicts. The simulated losses have a known optimum, noise shared by a
pair, and independent noise.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Job, Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.power import predicted_power
from lmlab.study.verdicts import decision_rule, judge, undecided_arms

REPEATS = 1000
SHARED_SD, RUN_SD = 0.008, 0.01  # nats per token
PAIR_SD = math.sqrt(2) * RUN_SD


def a_study(arms: int, extra_seeds: int, margin: float = 0.02) -> Manifest:
    design = Comparison(
        question="?", arms={f"arm{i}": [] for i in range(arms + 1)}, baseline="arm0",
        replicate=None, lr="search", lr_factor=math.sqrt(10), edge_ratio=1.5,
        at_baseline_lr=False, num_seeds=5, num_tuning_seeds=2, extra_seeds=extra_seeds,
        hold_tokens=False, solve_d_ff=False, tolerance={}, allow=[], margin=margin, alpha=0.05,
        power=0.8, expected_sd=0.01, limits=[],
    )  # fmt: skip
    content = {"optim": {"lr": 3e-3}, "seed": 0}
    return Manifest(
        "study", "", [content] * (arms + 1), list(design.arms), [[]] * (arms + 1), design
    )


def simulate(
    manifest: Manifest, effects: list[float], chance: np.random.Generator
) -> list[tuple[str, float]]:
    """Simulate a study; return verdict and difference of each arm."""
    offsets = chance.normal(0, SHARED_SD, 4000)
    start = chance.uniform(math.log(5e-3), math.log(2e-2))
    best = {f"arm{i}": start + chance.uniform(-0.3, 0.3) for i in range(len(effects) + 1)}
    effect = {f"arm{i}": value for i, value in enumerate([0.0, *effects])}

    def run(job: Job) -> TrialOutcome:
        assert job.lr is not None
        away = math.log(job.lr) - best[job.arm]
        if away > 1.8:
            return TrialOutcome("diverged", None, 7.0)
        noise = offsets[job.seed] + chance.normal(0, RUN_SD)
        # Steeper towards the edge of divergence, as real curves are.
        curve = 0.05 * away**2 * (1 + 0.3 * max(away, 0.0))
        return TrialOutcome("done", 3 + effect[job.arm] + curve + noise, 7.0)

    outcomes: dict[Job, TrialOutcome] = {}
    undecided: frozenset[str] = frozenset()
    assert manifest.comparison is not None
    for look in (1, 2):
        while fresh := [
            job for job in manifest.required_jobs(outcomes, undecided) if job not in outcomes
        ]:
            outcomes |= {job: run(job) for job in fresh}
        if look == 1 and manifest.comparison.extra_seeds:
            undecided = undecided_arms(manifest, outcomes)
            if not undecided:
                break
    found = judge(manifest, outcomes)
    return [
        (verdict.label, verdict.comparison.difference if verdict.comparison else math.nan)
        for verdict in found
    ]


@pytest.mark.long
@pytest.mark.parametrize("extra_seeds", [0, 5], ids=["one look", "two looks"])
def test_false_verdicts_are_as_rare_as_stated(extra_seeds: int) -> None:
    manifest, chance = a_study(arms=3, extra_seeds=extra_seeds), np.random.default_rng(11)
    wrong = 0
    for _ in range(REPEATS):
        found = simulate(manifest, [0.0, 0.0, 0.0], chance)
        wrong += any(word in ("better", "worse") for word, _ in found)
    error = math.sqrt(0.05 * 0.95 / REPEATS)
    print(f"any false verdict over three arms: {wrong / REPEATS:.3f}, stated 0.05")
    assert wrong / REPEATS <= 0.05 + 3 * error


@pytest.mark.long
@pytest.mark.parametrize("extra_seeds", [0, 5], ids=["one look", "two looks"])
def test_power_is_as_predicted(extra_seeds: int) -> None:
    manifest, chance = a_study(arms=1, extra_seeds=extra_seeds), np.random.default_rng(12)
    assert manifest.comparison is not None
    effect = 0.022
    predicted = predicted_power(effect, PAIR_SD, decision_rule(manifest.comparison))
    found = [simulate(manifest, [effect], chance)[0] for _ in range(REPEATS)]
    power = sum(word == "worse" for word, _ in found) / REPEATS
    wrong = sum(word == "better" for word, _ in found)
    error = math.sqrt(predicted * (1 - predicted) / REPEATS)
    print(f"power {power:.3f}, predicted {predicted:.3f}")
    assert abs(power - predicted) <= 3 * error + 0.02, (
        "0.02 because the search finds the learning rates only approximately"
    )
    assert wrong <= 3


def test_differences_are_unbiased() -> None:
    """Seeds that choose the rates are not used for verdicts, so the choice adds no bias."""
    manifest, chance = a_study(arms=1, extra_seeds=0), np.random.default_rng(13)
    differences = [simulate(manifest, [0.03], chance)[0][1] for _ in range(300)]
    error = float(np.std(differences)) / math.sqrt(len(differences))
    assert abs(float(np.mean(differences)) - 0.03) < 3 * error + 5e-4
