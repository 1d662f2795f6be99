"""Scores of runs by item: which runs of arm and baseline they pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from designs import a_design

from lmlab.design.metrics import Metric
from lmlab.design.search import FAILED_TO_LEARN, TrialOutcome
from lmlab.study.item_test import IndependentItemRuns, ItemPairs
from lmlab.study.metric_matches import MetricRuns, match_by_metric
from lmlab.study.run_scores import RunScores
from lmlab.study.sign_flips import FlippedPairs
from lmlab.study.t_test import Pairs

MARGIN = Metric("order.margin", "margin", "order")
KL = Metric("probes.plots.kl", "kl", "plots", is_probe=True)
WIKI = Metric("wiki", "bits_per_byte", "wiki")
DONE = TrialOutcome("done", 3.0, 7.0)


def scores_of(*rows: list[float], items: str = "x") -> dict[int, RunScores]:
    return {seed: RunScores(items, tuple(row)) for seed, row in enumerate(rows)}


OWN = scores_of([1.0, 3.0], [2.0, 2.0], [5.0, 4.0])
BASE = scores_of([1.0, 2.0], [1.0, 1.0], [1.0, 2.0])


def test_runs_by_a_metric() -> None:
    lost = {1: TrialOutcome("diverged"), 2: TrialOutcome(FAILED_TO_LEARN), 3: TrialOutcome("done")}
    runs = MetricRuns.of({0: DONE, 4: DONE, 5: DONE} | lost, OWN | {5: RunScores("y", (1.0,))}, "x")
    assert runs.outcomes[0] == TrialOutcome("done", 2.0, 7.0), "the loss is the score"
    assert runs.outcomes[4].status == "missing", "it has no scores"
    assert runs.outcomes[5].status == "missing", "its items are others"
    assert {seed: runs.outcomes[seed] for seed in (1, 2)} == {seed: lost[seed] for seed in (1, 2)}
    assert runs.scores.keys() == {0}


def match(design: Any, metric: Metric = MARGIN, *, is_replicate: bool = False) -> Any:
    outcomes = dict.fromkeys(range(3), DONE)
    own, base = MetricRuns.of(outcomes, OWN, "x"), MetricRuns.of(outcomes, BASE, "x")
    return match_by_metric(own, base, metric, design, is_replicate=is_replicate)


def test_random_items_are_paired_by_seed_and_item() -> None:
    found = match(a_design())
    assert isinstance(found.sample, ItemPairs) and found.seeds == (0, 1, 2)
    assert np.array_equal(found.sample.values, [[0, 1], [1, 1], [4, 2]])
    runs = match(a_design(), is_replicate=True).sample
    assert isinstance(runs, IndependentItemRuns)
    assert np.array_equal(runs.arm, [[1, 3], [2, 2], [5, 4]])
    assert np.array_equal(runs.baseline, [[1, 2], [1, 1], [1, 2]])


@pytest.mark.parametrize(("test", "kind"), [("t", Pairs), ("sign_flips", FlippedPairs)])
def test_fixed_items_are_tested_as_losses_are(test: str, kind: type) -> None:
    found = match(a_design(items="fixed", test=test)).sample
    assert list(found.differences) == [0.5, 1.0, 3.0]
    expected = kind(found.differences).estimate()
    assert found.estimate().p == pytest.approx(expected.p)
    assert found.estimate().items_error == 0
    whole = match(a_design(test=test), WIKI).sample
    assert isinstance(whole, kind), "a score that is no mean over items"


def test_one_item_is_no_sample() -> None:
    outcomes = dict.fromkeys(range(2), DONE)
    own, base = (MetricRuns.of(outcomes, scores_of([a], [a]), "x") for a in (1.0, 2.0))
    assert isinstance(
        match_by_metric(own, base, MARGIN, a_design(), is_replicate=False).sample, Pairs
    )
    empty = MetricRuns.of(outcomes, {}, "x")
    found = match_by_metric(empty, base, MARGIN, a_design(), is_replicate=False)
    assert len(found.sample) == 0 and found.unpaired == (0, 1)
