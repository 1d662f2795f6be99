"""Which runs are compared by scores besides the loss, and on which items."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmlab.design.comparison import RANDOM_ITEMS, Comparison
from lmlab.design.metrics import Metric
from lmlab.design.search import TrialOutcome
from lmlab.study.hypothesis_test import Sample
from lmlab.study.item_test import IndependentItemRuns, ItemPairs
from lmlab.study.matched_runs import BySeed, Match, match_by_seed, match_replicate
from lmlab.study.run_scores import RunScores
from lmlab.study.sequential_test import SIGN_FLIPS


@dataclasses.dataclass(frozen=True)
class MetricRuns:
    """The runs of an arm or of the baseline as one metric shows them.

    Attributes:
        outcomes: results by seed, whose ``loss`` is the score. A run without one counts as missing.
        scores: of the runs that have one, by seed.
    """

    outcomes: dict[int, TrialOutcome]
    scores: dict[int, RunScores]

    @classmethod
    def of(cls, outcomes: BySeed, scores: Mapping[int, RunScores], items: str) -> MetricRuns:
        """Return the runs by a metric.

        Args:
            outcomes: results by seed, with losses.
            scores: by seed.
            items: hash of the items of the study; runs that were scored on others count as missing.
        """
        known = {
            seed: scores[seed]
            for seed, outcome in outcomes.items()
            if outcome.loss is not None and seed in scores and scores[seed].items == items
        }
        found = {}
        for seed, outcome in outcomes.items():
            if seed in known:
                found[seed] = dataclasses.replace(outcome, loss=known[seed].mean)
            else:
                found[seed] = outcome if outcome.has_diverged else TrialOutcome("missing")
        return cls(found, known)

    def values(self, seeds: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the scores of these seeds by item, (seeds, items)."""
        if not seeds:
            return np.zeros((0, 0))
        return np.array([self.scores[seed].values for seed in seeds], dtype=np.float64)


def match_by_metric(
    own: MetricRuns, base: MetricRuns, metric: Metric, design: Comparison, *, is_replicate: bool
) -> Match:
    """Match the runs of an arm with those of the baseline by one metric.

    Args:
        own: runs of the arm.
        base: runs of the baseline.
        metric: a metric other than the loss.
        design: declaration of the study.
        is_replicate: whether the arm shares no seeds with the baseline.
    """
    match = (
        match_replicate(own.outcomes, base.outcomes)
        if is_replicate
        else match_by_seed(own.outcomes, base.outcomes, design.test)
    )
    is_random = has_random_items(metric, design)
    if not metric.is_of_items or (design.test == SIGN_FLIPS and not is_random):
        return match
    arm, baseline = own.values(match.seeds), base.values(match.baseline_seeds)
    if min(arm.shape[1], baseline.shape[1]) < 2 and min(len(arm), len(baseline)):
        return match  # one item is no sample
    sample: Sample = (
        IndependentItemRuns(arm, baseline, is_random)
        if is_replicate
        else ItemPairs(arm - baseline, is_random)
    )
    return dataclasses.replace(match, sample=sample)


def has_random_items(metric: Metric, design: Comparison) -> bool:
    """Return whether verdicts by a metric are on what its items are a sample of."""
    return metric.is_of_items and design.items == RANDOM_ITEMS
