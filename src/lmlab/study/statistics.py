"""Is an arm better than the baseline? Paired differences, a two-look rule, and Holm's correction.

The differences are taken seed by seed: both runs of a pair saw the same batches in the same order.
Where a study allows a second look (more seeds for what the first could not decide), an arm's
p-value is that of the smaller of its two looks under the null hypothesis, and intervals are widened
to agree with it, so that looking twice costs what it should (Pocock 1977, Biometrika 64(2), with t
in place of the normal distribution). Correction over arms is Holm's (1979, Scand. J. Statist.
6(2)). Equivalence is claimed as Schuirmann (1987) does, by an interval that lies within the margin.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special, stats

Array = np.ndarray[Any, np.dtype[np.float64]]

_DRAWS = 200_000
_MOST_SEEDS = 1000
SEEDS_FOR_A_CLAIM = 5  # with three, Holm's first step over eight arms is hopeless


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a study decides; fixed before anything is trained.

    Attributes:
        seeds: pairs at the first look.
        extra_seeds: pairs that a second look adds for an arm that the first left undecided.
        alpha: chance of any false better or worse over all arms of a study.
        power: chance of finding the difference that the plan promises to find.
        margin: what counts as no difference, in the unit of the metric.
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


@dataclasses.dataclass(frozen=True)
class PairedComparison:
    """An arm against the baseline.

    Attributes:
        seeds: number of pairs.
        difference: mean of arm minus baseline, in the unit of the metric.
        sd: standard deviation of the differences.
        low: lower end of the confidence interval.
        high: upper end.
        p: two-sided; of both looks together where the rule has two.
        adjusted_p: corrected over the arms of the study.
        verdict: ``better``, ``worse``, ``no difference`` or ``too few seeds``.
        more_seeds: how many more pairs would probably decide; None where nothing is open.
    """

    seeds: int
    difference: float
    sd: float
    low: float
    high: float
    p: float
    adjusted_p: float
    verdict: str
    more_seeds: int | None = None

    @property
    def bound(self) -> float:
        """The largest difference that the interval does not rule out."""
        return max(abs(self.low), abs(self.high))


def compare(
    differences: Sequence[Sequence[float]], rule: Rule, family: int | None = None
) -> list[PairedComparison]:
    """Compare every arm of a study with its baseline.

    Args:
        differences: for each arm the paired differences, in the order of the seeds.
        rule: how the study decides.
        family: number of arms that the study announced; None for those given. Arms without enough
            runs count too, so that a verdict never gets easier because runs are missing.
    """
    ps = [sequential_p(pairs, rule) for pairs in differences]
    total = max(family or 0, len(ps))
    adjusted = holm(ps, total)
    return [
        _judge(pairs, p, adjusted_p, rule, total)
        for pairs, p, adjusted_p in zip(differences, ps, adjusted, strict=True)
    ]


def _judge(
    pairs: Sequence[float], p: float, adjusted_p: float, rule: Rule, family: int
) -> PairedComparison:
    if len(pairs) < 2:
        mean = float(np.mean(pairs)) if pairs else math.nan
        need = (rule.seeds if rule.seeds > 1 else SEEDS_FOR_A_CLAIM) - len(pairs)
        return PairedComparison(
            len(pairs), mean, math.nan, -math.inf, math.inf, 1.0, 1.0, "too few seeds", need
        )
    low, high = t_interval(pairs, rule)
    mean, sd = float(np.mean(pairs)), float(np.std(pairs, ddof=1))
    more = None
    if adjusted_p <= rule.alpha and mean != 0:
        verdict = "better" if mean < 0 else "worse"
    elif -rule.margin <= low and high <= rule.margin:
        verdict = "no difference"
    else:
        verdict = "too few seeds"
        more = max(seeds_to_decide(mean, sd, rule, family) - len(pairs), 1)
    return PairedComparison(len(pairs), mean, sd, low, high, p, adjusted_p, verdict, more)


def sequential_p(pairs: Sequence[float], rule: Rule) -> float:
    """The two-sided p-value of the paired t test, of all looks so far together.

    With one look it is the test's own. With two it is the chance, were there no difference, that
    the smaller of the two p-values is as small as the smallest seen, also when the second look was
    not needed: whether it would be taken was fixed before.
    """
    if len(pairs) < 2:
        return 1.0
    seen = [paired_p(pairs[:number]) for number in rule.looks if number <= len(pairs)]
    smallest = min(seen or [paired_p(pairs)])
    return smallest_p_cdf(smallest, rule.looks)


def paired_p(pairs: Sequence[float]) -> float:
    """The two-sided p-value of one t test; equal differences leave no doubt."""
    values = np.asarray(pairs, dtype=np.float64)
    if np.ptp(values) == 0:
        return 1.0 if values[0] == 0 else 0.0
    return float(stats.ttest_1samp(values, 0.0).pvalue)


def t_interval(pairs: Sequence[float], rule: Rule) -> tuple[float, float]:
    """The t confidence interval at 1 - alpha; wider where the rule looks twice."""
    values = np.asarray(pairs, dtype=np.float64)
    level = nominal_level(rule.alpha, rule.looks)
    half = (
        float(special.stdtrit(len(values) - 1, 1 - level / 2))
        * float(values.std(ddof=1))
        / math.sqrt(len(values))
    )
    return float(values.mean()) - half, float(values.mean()) + half


def holm(ps: Sequence[float], family: int | None = None) -> list[float]:
    """Holm's adjusted p-values; hypotheses of the family without a p-value count as untested."""
    total = max(family or 0, len(ps))
    adjusted = [1.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, min(1.0, (total - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


def smallest_p_cdf(p: float, looks: tuple[int, ...]) -> float:
    """Chance under the null hypothesis that the smallest p-value of all looks is at most ``p``."""
    if len(looks) == 1:
        return p
    smallest = _null_smallest_ps(looks)
    share = float(np.searchsorted(smallest, p, side="right")) / len(smallest)
    return min(max(share, p), 2 * p, 1.0)  # Bonferroni's bounds hold exactly where draws are few


def nominal_level(alpha: float, looks: tuple[int, ...]) -> float:
    """The level of each look at which all looks together have level ``alpha``."""
    if len(looks) == 1:
        return alpha
    return float(min(max(np.quantile(_null_smallest_ps(looks), alpha), alpha / 2), alpha))


@functools.cache
def _null_smallest_ps(looks: tuple[int, ...]) -> Array:
    """The smaller p-value of both looks in simulated studies without a difference, sorted."""
    draws = min(_DRAWS, 10_000_000 // looks[-1])  # at most 80 MB
    pairs = np.random.default_rng(0).normal(size=(draws, looks[-1]))
    return np.sort(np.minimum(*(_p_values(pairs[:, :number]) for number in looks)))


def _p_values(pairs: Array) -> Array:
    number = pairs.shape[1]
    t = pairs.mean(axis=1) / (pairs.std(axis=1, ddof=1) / math.sqrt(number))
    return np.asarray(2 * special.stdtr(number - 1, -np.abs(t)))


def predicted_power(effect: float, sd: float, rule: Rule, family: int = 1) -> float:
    """Chance that an arm with this true difference is found better (or worse), before any run.

    Args:
        effect: true mean difference, in the unit of the metric.
        sd: standard deviation of paired differences.
        rule: how the study decides.
        family: number of arms; the answer holds for Holm's first and hardest step.
    """
    if sd == 0:
        return float(effect != 0)
    draws, level = 20_000, rule.alpha / family
    pairs = np.random.default_rng(1).normal(effect, sd, (draws, rule.looks[-1]))
    nominal = nominal_level(level, rule.looks)
    is_right = np.sign(pairs.mean(axis=1)) == math.copysign(1, effect)
    if len(rule.looks) == 1:
        return float((is_right & (_p_values(pairs) <= nominal)).mean())
    first = pairs[:, : rule.seeds]
    found_first = _p_values(first) <= nominal
    width = float(stats.t.isf(nominal_level(rule.alpha, rule.looks) / 2, rule.seeds - 1))
    half = width * first.std(axis=1, ddof=1) / math.sqrt(rule.seeds)
    settled = (np.abs(first.mean(axis=1)) + half <= rule.margin) & ~found_first
    right_first = found_first & (np.sign(first.mean(axis=1)) == math.copysign(1, effect))
    found_second = ~found_first & ~settled & (_p_values(pairs) <= nominal) & is_right
    return float((right_first | found_second).mean())


def smallest_detectable(sd: float, rule: Rule, family: int = 1) -> float:
    """The smallest true difference that :func:`predicted_power` says is found often enough.

    Infinite where a single pair is all there is, which no test can judge.
    """
    if rule.looks[0] < 2:
        return math.inf
    if sd == 0:
        return 0.0
    low, high = 0.0, sd
    while predicted_power(high, sd, rule, family) < rule.power:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        if predicted_power(middle, sd, rule, family) < rule.power:
            low = middle
        else:
            high = middle
    return high


def seeds_to_decide(mean: float, sd: float, rule: Rule, family: int = 1) -> int:
    """How many pairs would decide, were the true difference and spread those seen.

    Either the difference would be found with the rule's power at Holm's first and hardest step for
    a ``family`` of arms, or the interval would lie within the margin, whichever takes fewer pairs.
    """
    found = _seeds_to_find(abs(mean), sd, rule, nominal_level(rule.alpha / family, rule.looks))
    settled = _seeds_to_settle(abs(mean), sd, rule, nominal_level(rule.alpha, rule.looks))
    return min(found, settled)


def _seeds_to_find(effect: float, sd: float, rule: Rule, level: float) -> int:
    if effect == 0:
        return _MOST_SEEDS
    if sd == 0:
        return 2

    def is_enough(number: int) -> bool:
        bound = special.stdtrit(number - 1, 1 - level / 2)
        power = 1 - special.nctdtr(number - 1, effect / sd * math.sqrt(number), bound)
        return bool(power >= rule.power)

    return _least(is_enough)


def _seeds_to_settle(effect: float, sd: float, rule: Rule, level: float) -> int:
    room = rule.margin - effect

    def is_enough(number: int) -> bool:
        half = special.stdtrit(number - 1, 1 - level / 2) * sd / math.sqrt(number)
        return bool(half <= room)

    return _least(is_enough) if room > 0 else _MOST_SEEDS


def _least(is_enough: Callable[[int], bool]) -> int:
    """The least number of seeds that is enough, by bisection: more always are."""
    return 2 + bisect.bisect_left(range(2, _MOST_SEEDS), True, key=is_enough)
