"""Simulated studies with a known truth: error rates and power are as stated.

Everything but the training is real: the search for each arm's learning rate, the judging seeds,
the second look, and the verdicts. The simulated losses have a known optimum, noise shared by a
pair, and independent noise.
"""

from __future__ import annotations

import dataclasses
import math
import unittest.mock
from typing import Any

import numpy as np
import pytest
from simulated_verdicts import NO_ADVICE, RUN_SD, SimulatedRuns, a_study

from lmlab.design.job import Job
from lmlab.design.search import TrialOutcome
from lmlab.study.decision_rules import decision_rule
from lmlab.study.power import predicted_power
from lmlab.study.run_scores import RunScores
from lmlab.study.verdicts import judge

REPEATS = [200, pytest.param(1000, marks=pytest.mark.exhaustive)]
PAIR_SD = math.sqrt(2) * RUN_SD


# Advice changes no verdict, and takes most of the time.
NO_ITEM_ADVICE = unittest.mock.patch("lmlab.study.statistics.seeds_with_items", lambda *_: 0)
METRICS = ["loss", "order", "order.margin"]
NUM_ITEMS = 100


def scores_of_study(arms: int, seeds: int, chance: np.random.Generator) -> Any:
    """Losses and scores of a study in which no arm differs, but some items suit some arms."""
    hard = chance.normal(size=NUM_ITEMS)
    outcomes, scores = {}, {}
    for arm in range(arms + 1):
        suits = chance.normal(0, 0.5, NUM_ITEMS)
        for seed in range(seeds):
            job = Job(f"arm{arm}", 3e-3, seed)
            margins = hard + suits + chance.normal(0, 0.1) + chance.normal(0, 0.7, NUM_ITEMS)
            outcomes[job] = TrialOutcome("done", 3 + chance.normal(0, 0.01), 7.0)
            scores[job] = {
                "order.margin": RunScores("x", tuple(margins)),
                "order": RunScores("x", tuple((margins > 0).astype(float))),
            }
    return outcomes, scores


@pytest.mark.long
@pytest.mark.parametrize(("arms", "seeds"), [(1, 2), (3, 3), (3, 5)])
def test_false_verdicts_over_arms_and_metrics(arms: int, seeds: int) -> None:
    """Seeds and items are both random; the loss, right answers and margins share the level."""
    study = a_study(arms, margin=0.0, lr="fixed", num_seeds=seeds, metrics=METRICS)
    tasks = {"validation": {"tasks": {"order": "order.jsonl"}}}
    study = dataclasses.replace(study, arms=[one | tasks for one in study.arms])
    chance, repeats, wrong, by_seeds = np.random.default_rng(14), 300, 0, 0
    fixed = dataclasses.replace(
        study, comparison=dataclasses.replace(study.comparison, items="fixed")
    )
    for _ in range(repeats):
        outcomes, scores = scores_of_study(arms, seeds, chance)
        for declared in (study, fixed):
            with NO_ADVICE, NO_ITEM_ADVICE:
                found = judge(declared, outcomes, scores=scores)
            assert len(found) == arms * len(METRICS)
            is_wrong = any(one.label in ("better", "worse") for one in found)
            wrong += is_wrong and declared is study
            by_seeds += is_wrong and declared is fixed
    print(
        f"{arms} arms, {seeds} seeds: {wrong / repeats:.3f}, items fixed {by_seeds / repeats:.3f}"
    )
    assert wrong / repeats <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)
    assert by_seeds > wrong or seeds == 2, "no statement about other items"


def simulate(
    extra_seeds: int, effects: list[float], chance: np.random.Generator
) -> list[tuple[str, float]]:
    """Simulate a study; return verdict and difference of each arm."""
    study = a_study(len(effects), extra_seeds)
    found = SimulatedRuns(effects, chance).run_all(study)
    return [
        (verdict.label, verdict.comparison.difference if verdict.comparison else math.nan)
        for verdict in found
    ]


@pytest.mark.long
@pytest.mark.parametrize("extra_seeds", [0, 5], ids=["one look", "two looks"])
@pytest.mark.parametrize("repeats", REPEATS)
def test_false_verdicts_are_as_rare_as_stated(extra_seeds: int, repeats: int) -> None:
    chance = np.random.default_rng(11)
    wrong = 0
    for _ in range(repeats):
        found = simulate(extra_seeds, [0.0, 0.0, 0.0], chance)
        wrong += any(word in ("better", "worse") for word, _ in found)
    error = math.sqrt(0.05 * 0.95 / repeats)
    print(f"any false verdict over three arms: {wrong / repeats:.3f}, stated 0.05")
    assert wrong / repeats <= 0.05 + 3 * error


@pytest.mark.long
@pytest.mark.parametrize("extra_seeds", [0, 5], ids=["one look", "two looks"])
@pytest.mark.parametrize("repeats", REPEATS)
def test_power_is_as_predicted(extra_seeds: int, repeats: int) -> None:
    manifest, chance = a_study(1, extra_seeds), np.random.default_rng(12)
    assert manifest.comparison is not None
    effect = 0.022
    predicted = predicted_power(effect, PAIR_SD, decision_rule(manifest.comparison))
    found = [simulate(extra_seeds, [effect], chance)[0] for _ in range(repeats)]
    power = sum(word == "worse" for word, _ in found) / repeats
    wrong = sum(word == "better" for word, _ in found)
    error = math.sqrt(predicted * (1 - predicted) / repeats)
    print(f"power {power:.3f}, predicted {predicted:.3f}")
    assert abs(power - predicted) <= 3 * error + 0.02, (
        "0.02 because the search finds the learning rates only approximately"
    )
    assert wrong <= 3


@pytest.mark.long
def test_differences_are_unbiased() -> None:
    """Seeds that choose the rates are not used for verdicts, so the choice adds no bias."""
    chance = np.random.default_rng(13)
    differences = [simulate(0, [0.03], chance)[0][1] for _ in range(300)]
    error = float(np.std(differences)) / math.sqrt(len(differences))
    assert abs(float(np.mean(differences)) - 0.03) < 3 * error + 5e-4
