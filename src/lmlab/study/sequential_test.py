"""The paired t test of one or two looks, and the level at which two looks cost what they should.

A study may take a second look: it adds seeds for the arms that the first look left undecided. The
p-value of such a study is the probability, under the null hypothesis, that the smaller of both
p-values is as small as the one observed (Pocock 1977, Biometrika 64(2), with t in place of the
normal distribution). Each look is tested at the level at which both together have level alpha.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special, stats

Array = np.ndarray[Any, np.dtype[np.float64]]

_DRAWS = 200_000


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a study decides; fixed before any run is trained.

    Attributes:
        seeds: number of pairs at the first look.
        extra_seeds: number of pairs that a second look adds for an undecided arm; 0 for one look.
        alpha: probability of one or more false "better" or "worse" verdicts in a study.
        power: probability of finding the difference that the plan states as detectable.
        margin: largest difference that counts as no difference, in the unit of the metric.
    """

    seeds: int
    extra_seeds: int = 0
    alpha: float = 0.05
    power: float = 0.8
    margin: float = 0.02

    @property
    def looks(self) -> tuple[int, ...]:
        """Number of pairs at each look."""
        return (self.seeds, self.seeds + self.extra_seeds) if self.extra_seeds else (self.seeds,)


def sequential_p(pairs: Sequence[float], rule: Rule) -> float:
    """Return the two-sided p-value of the paired t test over all looks so far.

    With one look this is the p-value of the t test. With two looks it is the probability, under the
    null hypothesis, that the smaller of both p-values is as small as the smallest one observed. It
    applies even when the second look was not needed, because the rule allowed it in advance.
    """
    if len(pairs) < 2:
        return 1.0
    observed = [paired_p(pairs[:number]) for number in rule.looks if number <= len(pairs)]
    smallest = min(observed or [paired_p(pairs)])
    return smallest_p_cdf(smallest, rule.looks)


def paired_p(pairs: Sequence[float]) -> float:
    """Return the two-sided p-value of one t test; 0 or 1 where all differences are equal."""
    values = np.asarray(pairs, dtype=np.float64)
    if np.ptp(values) == 0:
        return 1.0 if values[0] == 0 else 0.0
    return float(stats.ttest_1samp(values, 0.0).pvalue)


def smallest_p_cdf(p: float, looks: tuple[int, ...]) -> float:
    """Probability under the null hypothesis that the smallest p-value of all looks is <= ``p``."""
    if len(looks) == 1:
        return p
    smallest = _null_smallest_ps(looks)
    probability = float(np.searchsorted(smallest, p, side="right")) / len(smallest)
    return min(max(probability, p), 2 * p, 1.0)  # Bonferroni's bounds are exact; draws are finite


def nominal_level(alpha: float, looks: tuple[int, ...]) -> float:
    """Return the level of each look at which all looks together have level ``alpha``."""
    if len(looks) == 1:
        return alpha
    return float(min(max(np.quantile(_null_smallest_ps(looks), alpha), alpha / 2), alpha))


@functools.cache
def _null_smallest_ps(looks: tuple[int, ...]) -> Array:
    """The smaller p-value of both looks in simulated studies without a difference, sorted."""
    draws = min(_DRAWS, 10_000_000 // looks[-1])  # at most 80 MB
    pairs = np.random.default_rng(0).normal(size=(draws, looks[-1]))
    return np.sort(np.minimum(*(p_values(pairs[:, :number]) for number in looks)))


def p_values(pairs: Array) -> Array:
    """Return the two-sided p-values of t tests, one for each row of ``pairs``."""
    number = pairs.shape[1]
    t = pairs.mean(axis=1) / (pairs.std(axis=1, ddof=1) / math.sqrt(number))
    return np.asarray(2 * special.stdtr(number - 1, -np.abs(t)))
