"""The sign-flip test of paired differences, which holds for noise of any distribution.

Where arm and baseline do not differ, exchanging the two runs of a pair changes nothing, so each
difference is as likely to have the other sign (Fisher 1935, The Design of Experiments, section 21).
The p-value is the share of all sign changes whose mean is at least as far from zero as the observed
one. Neither the tails of the noise nor breakdowns that hit both arms alike change its error rate.

The interval consists of the differences that the test does not reject. Its ends are order
statistics of the means of all subsets of the pairs (Hartigan 1969, JASA 64(328), "typical values"),
because flipping the signs of a subset raises the mean exactly where the mean of the subset is below
the assumed difference. P-value and interval therefore rest on the same numbers, and can never
contradict each other.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmlab.study.hypothesis_test import mean_and_sd

Array = np.ndarray[Any, np.dtype[np.float64]]

# Up to this number of pairs all sign changes are enumerated; beyond it, a random sample of them is
# used, over whose choice the test is still exact (Dwass 1957, Ann. Math. Statist. 28(1)). It is
# drawn once for each number of pairs, so that reports reproduce.
MAX_ENUMERATED = 16
_SAMPLED = 2**MAX_ENUMERATED - 1


@dataclasses.dataclass(frozen=True)
class FlipEstimate:
    """An estimated difference between arm and baseline with the sign-flip test.

    Attributes:
        difference: mean of arm minus baseline, in the unit of the metric.
        sd: standard deviation of the differences.
        subset_means: sorted means of the subsets of the pairs.
    """

    difference: float
    sd: float
    subset_means: Array

    @property
    def items_error(self) -> float:
        """Zero: the items, if there are any, are not a sample."""
        return 0.0

    @property
    def p(self) -> float:
        """Two-sided p-value: at least 2^(1 - pairs)."""
        below = int(np.searchsorted(self.subset_means, 0.0, side="right"))
        above = self.subset_means.size - int(np.searchsorted(self.subset_means, 0.0, side="left"))
        return min(1.0, 2 * (1 + min(below, above)) / (1 + self.subset_means.size))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the confidence interval at 1 - ``level``; infinite for too few pairs."""
        rank = math.floor(level * (1 + self.subset_means.size) / 2)
        if rank < 1:
            return -math.inf, math.inf
        return float(self.subset_means[rank - 1]), float(self.subset_means[-rank])


@dataclasses.dataclass(frozen=True)
class FlippedPairs:
    """An arm whose runs share their seeds with runs of the baseline, for the sign-flip test.

    Attributes:
        differences: arm minus baseline, for each seed.
    """

    differences: Sequence[float]

    def __len__(self) -> int:
        return len(self.differences)

    def first(self, number: int) -> FlippedPairs:
        """Return the first ``number`` pairs."""
        return FlippedPairs(self.differences[:number])

    def estimate(self) -> FlipEstimate:
        """Return the estimate of the sign-flip test."""
        return FlipEstimate(*mean_and_sd(self.differences), subset_means(self.differences))


def subset_means(values: Sequence[float]) -> Array:
    """Return the sorted means of all non-empty subsets of ``values``.

    Args:
        values: numbers of any order, which changes no result by more than rounding.

    Returns:
        2^n - 1 means; beyond :data:`MAX_ENUMERATED` values, those of a fixed sample of subsets.
    """
    members = _subsets(len(values))
    return np.sort(members @ np.asarray(values, dtype=np.float64) / members.sum(axis=1))


def flip_intervals(pairs: Array, level: float) -> tuple[Array, Array]:
    """Return the ends of the intervals at 1 - ``level`` of many studies, without sorting.

    Args:
        pairs: differences, of shape (studies, pairs).
        level: probability that an interval misses the true difference.

    Returns:
        Lower and upper ends, each of shape (studies,).
    """
    members = _subsets(pairs.shape[1])
    rank = math.floor(level * (1 + len(members)) / 2)
    if rank < 1:
        infinite = np.full(len(pairs), math.inf)
        return -infinite, infinite
    means = pairs @ (members / members.sum(axis=1, keepdims=True)).T
    ends = np.partition(means, (rank - 1, len(members) - rank), axis=1)
    return ends[:, rank - 1], ends[:, len(members) - rank]


@functools.lru_cache(maxsize=4)
def _subsets(number: int) -> Array:
    """Return the non-empty subsets of ``number`` values as rows of zeros and ones (subsets, n)."""
    if number <= MAX_ENUMERATED:
        codes = np.arange(1, 2**number)[:, None]
        return ((codes >> np.arange(number)) & 1).astype(np.float64)
    members = np.random.default_rng(number).integers(0, 2, size=(2 * _SAMPLED, number))
    return members[members.any(axis=1)][:_SAMPLED].astype(np.float64)
