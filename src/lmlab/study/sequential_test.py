"""Tests of several looks at growing data, and the level at which they cost what they should.

A study may take a second look: it adds seeds for the arms that the first look left undecided. A
study that is repeated with more seeds takes another one. The p-value of such a study is the
probability, under the null hypothesis, that the smallest p-value of all looks is as small as the
one observed (Pocock 1977, Biometrika 64(2), with t in place of the normal distribution). Each look
is tested at the level at which all together have level alpha. The level is computed for the paired
t test. Welch's test uses the same one: the t values of its looks have the same correlation, and its
error rate, by simulation, stays below the stated one. The looks of a sign-flip test, whose p-values
have few possible values, share alpha equally (Bonferroni), which is exact for any noise. A
sequential study looks after every pair; its level and p-values are those of
:mod:`lmlab.study.group_bounds`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from lmlab.study import group_bounds
from lmlab.study.hypothesis_test import Sample
from lmlab.study.t_test import t_bound

SIGN_FLIPS = "sign_flips"
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a study decides; fixed before any run is trained.

    Attributes:
        seeds: number of pairs at the first look.
        extra_seeds: number of pairs that a second look adds for an undecided arm; 0 for one look.
        alpha: probability of one or more false "better" or "worse" verdicts in a study.
        power: probability of finding the difference that the plan states as detectable.
        margin: largest difference that counts as no difference, in the unit of the metric.
        earlier_looks: numbers of pairs at which the study was judged before it was extended.
        test: ``t`` or ``sign_flips``; see :mod:`lmlab.study.t_test` and
            :mod:`lmlab.study.sign_flips`.
        is_higher_better: whether an arm is better if its metric is higher.
        min_seeds: number of pairs at the first look of a sequential study, which looks after every
            further pair, up to ``seeds``; 0 for a study of one or two looks. ``extra_seeds`` add
            one more look.
        futility: an undecided arm of a sequential study ends where a verdict at ``seeds`` has a
            smaller probability than this; see :mod:`lmlab.study.futility`.
    """

    seeds: int
    extra_seeds: int = 0
    alpha: float = 0.05
    power: float = 0.8
    margin: float = 0.02
    earlier_looks: tuple[int, ...] = ()
    test: str = "t"
    is_higher_better: bool = False
    min_seeds: int = 0
    futility: float = 0.0

    @property
    def looks(self) -> tuple[int, ...]:
        """Number of pairs at each look, ascending."""
        last = self.seeds + self.extra_seeds
        earlier = {number for number in self.earlier_looks if 2 <= number < last}
        own = range(self.min_seeds, self.seeds + 1) if self.min_seeds else [self.seeds]
        return tuple(sorted(earlier | {*own, last}))

    @property
    def waves(self) -> tuple[int, ...]:
        """The looks of a sequential study but that of ``extra_seeds``; empty for another study."""
        return tuple(one for one in self.looks if one <= self.seeds) if self.min_seeds else ()

    def extended(self, seeds: int) -> Rule:
        """Return the rule of this study repeated with more seeds, which is one more look."""
        if self.min_seeds:
            return dataclasses.replace(self, extra_seeds=max(seeds - self.seeds, 0))
        return dataclasses.replace(self, seeds=seeds, extra_seeds=0, earlier_looks=self.looks)

    def nominal_level(self, alpha: float) -> float:
        """Return the level of each look at which all looks together have level ``alpha``."""
        if self.test == SIGN_FLIPS:
            return alpha / len(self.looks)
        if self.waves:
            return _level_of_waves(alpha, self.waves, self.looks[-1])
        return nominal_level(alpha, self.looks)

    def overall_p(self, smallest: float) -> float:
        """Return the p-value of all looks from the smallest one of a look."""
        if self.test == SIGN_FLIPS:
            return min(1.0, len(self.looks) * smallest)
        if self.waves:
            return _p_of_waves(smallest, self.waves, self.looks[-1])
        return smallest_p_cdf(smallest, self.looks)


def sequential_p(sample: Sample, rule: Rule) -> float:
    """Return the two-sided p-value of the test over all looks.

    With one look this is the p-value of the test. With several it is the probability, under the
    null hypothesis, that the smallest of their p-values is as small as the smallest one observed.
    It applies even when a later look was not needed, because the rule allowed it in advance.
    """
    if len(sample) < max(2, rule.looks[0] if rule.min_seeds else 2):
        return 1.0
    taken = {number for number in rule.looks if number < len(sample)} | {len(sample)}
    return rule.overall_p(min(sample.first(number).estimate().p for number in taken))


def deciding_look(sample: Sample, rule: Rule, alpha: float) -> int:
    """Return the number of seeds on which a difference that is significant at ``alpha`` rests.

    All of them, unless only an earlier look finds it: then the latest one that does.
    """
    level = rule.nominal_level(alpha)
    looks = [number for number in rule.looks if number < len(sample)]
    for number in [len(sample), *reversed(looks)]:
        if sample.first(number).estimate().p <= level:
            return number
    return len(sample)


def smallest_p_cdf(p: float, looks: tuple[int, ...]) -> float:
    """Return the probability that the smallest p-value of all looks is at most ``p``.

    This is under the null hypothesis, for the t test. It is exact for two looks. For more it is the
    upper bound of Hunter (1976, J. Appl. Prob. 13(3)) and Worsley (1982, Biometrika 69(2)), which
    subtracts from the sum over the looks what neighbouring ones have in common.
    """
    if len(looks) == 1 or p == 0:
        return p
    common = sum(_second_given_first(p, pair) for pair in itertools.pairwise(looks))
    return min(max(p * (len(looks) - common), p), 1.0)


def nominal_level(alpha: float, looks: tuple[int, ...]) -> float:
    """Return the level of each look at which all looks together have level ``alpha``."""
    if len(looks) == 1:
        return alpha
    return _shared_level(alpha, looks)


@functools.cache
def _shared_level(alpha: float, looks: tuple[int, ...]) -> float:
    low, high = alpha / len(looks), alpha  # Bonferroni's bounds
    if smallest_p_cdf(high, looks) <= alpha:
        return high
    return float(
        optimize.brentq(lambda p: smallest_p_cdf(p, looks) - alpha, low, high, xtol=low / 1e6)
    )


def _p_of_waves(p: float, waves: tuple[int, ...], last: int) -> float:
    """Probability that the smallest p-value of the waves and of a later look is at most ``p``.

    Where there is a later look, it is the bound of Hunter and Worsley; see :func:`smallest_p_cdf`.
    """
    of_waves = group_bounds.overall_p(p, waves)
    if last == waves[-1] or p <= 0:
        return of_waves
    return min(of_waves + p * (1 - _second_given_first(min(p, 1.0), (waves[-1], last))), 1.0)


@functools.lru_cache(maxsize=4096)
def _level_of_waves(alpha: float, waves: tuple[int, ...], last: int) -> float:
    high = group_bounds.shared_level(alpha, waves)
    if last == waves[-1]:
        return high
    low = high / 2  # one more look at most doubles the probability
    if _p_of_waves(low, waves, last) >= alpha:
        return low
    return float(
        optimize.brentq(lambda p: _p_of_waves(p, waves, last) - alpha, low, high, xtol=low / 1e4)
    )


def _second_given_first(p: float, looks: tuple[int, ...]) -> float:
    """Probability that the second p-value is <= ``p``, given that the first one is.

    Conditioning keeps the relative accuracy at any ``p``. Given the t statistic of the first look,
    the sum of squares of its values about zero is chi-squared and independent of it. The mean of
    the added values is integrated in closed form, everything else by quasi-Monte Carlo.
    """
    first, total = looks
    added = total - first
    uniform, radius, added_squares = _quadrature(first, added)
    t = np.minimum(-special.stdtrit(first - 1, uniform * p / 2), 1e100)
    length = np.hypot(math.sqrt(first - 1), t)
    mean = radius * (t / length) / math.sqrt(first)
    squares = radius**2 * (first - 1) / length**2 + added_squares  # about the means of both parts
    bound = t_bound(p, total - 1)
    # The second |t| reaches the bound where a y^2 + 2 b y + c >= 0, for y the mean added.
    ratio = min(bound, 1e100) ** 2 / (total - 1)
    a = added * (added - ratio * first)
    b = first * added * mean * (1 + ratio)
    c = first * mean**2 * (first - ratio * added) - ratio * total * squares
    root = np.sqrt(np.maximum(b * b - a * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.sort([(-b - root) / a, (-b + root) / a], axis=0)
    between = np.diff(special.ndtr(ends * math.sqrt(added)), axis=0)[0]
    inside = np.where(b * b > a * c, between, 0.0)
    return float(np.mean(1 - inside if a > 0 else inside))


@functools.cache
def _quadrature(first: int, added: int) -> tuple[Array, Array, Array]:
    """Points of uniform, chi and chi-squared variables with 1, first and added - 1 degrees."""
    points = (stats.qmc.Sobol(3, scramble=False).random_base2(13) + 2.0**-14) % 1
    radius = np.sqrt(2 * special.gammaincinv(first / 2, points[:, 1]))
    squares = 2 * special.gammaincinv((added - 1) / 2, points[:, 2]) if added > 1 else 0 * radius
    return points[:, 0], radius, squares
