"""The comparison of arms with the baseline: differences, t intervals, Holm's correction.

Differences are taken seed by seed: both runs of a pair see the same batches in the same order. Only
the replicate has seeds of its own, so its runs are compared unpaired; see
:mod:`lmlab.study.t_test`. P-values are corrected over the arms of a study by Holm's method (1979,
Scand. J. Statist. 6(2)). Intervals are those on which the verdicts rest: an arm's interval has the
level at which Holm's method tests it, so it excludes zero exactly where the arm is found better or
worse. "No difference" follows Schuirmann (1987, J. Pharmacokinet. Biopharm. 15(6)), with the
interval at 1 - alpha instead of 1 - 2 alpha, which is stricter: all of it is within the margin.
This takes precedence, because a study declares in advance that such differences do not count. Where
a study takes a second look, p-values and intervals account for both; see
:mod:`lmlab.study.sequential_test`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from lmlab.study.hypothesis_test import Result, Sample
from lmlab.study.item_power import seeds_with_items
from lmlab.study.outlying_seeds import find_agreeing
from lmlab.study.power import seeds_to_decide_later
from lmlab.study.sequential_test import Rule, deciding_look, sequential_p

INCONCLUSIVE = "inconclusive"
MIN_SEEDS_FOR_A_VERDICT = 5  # with three, Holm's first step over eight arms is hopeless


@dataclasses.dataclass(frozen=True)
class ArmComparison:
    """The comparison of one arm with the baseline by one metric.

    Attributes:
        seeds: number of seeds that the verdict rests on: all, unless the first look decided and the
            seeds added since blur the difference.
        difference: mean of arm minus baseline, in the unit of the metric.
        sd: standard deviation of one difference: of a pair, or of two independent runs.
        low: lower end of the confidence interval that the verdict rests on.
        high: upper end of that interval.
        p: two-sided p-value; over both looks where the rule has two.
        adjusted_p: p-value corrected over the arms of the study.
        verdict: ``better``, ``worse``, ``no difference`` or ``inconclusive``.
        more_seeds: estimated number of further seeds that would decide; None unless inconclusive,
            or where a few seeds are far off, so that mean and spread predict nothing.
        confidence: confidence level of the interval, such as 0.95; None for fewer than two seeds.
        agreeing: indices of the seeds that agree where all others are far off; None otherwise.
        equivalence: interval that decides on "no difference"; None for fewer than two seeds.
        items_error: standard error from the choice of the items of a task.
        needs_items: whether no number of seeds would decide, because the task has too few items.
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
    confidence: float | None = None
    agreeing: tuple[int, ...] | None = None
    equivalence: tuple[float, float] | None = None
    items_error: float = 0.0
    needs_items: bool = False

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def bound(self) -> float:
        """The largest absolute difference within the confidence interval."""
        return max(abs(self.low), abs(self.high))


def compare(
    samples: Sequence[Sample], rule: Rule, family: int | None = None
) -> list[ArmComparison]:
    """Compare every arm of a study with its baseline.

    Args:
        samples: the final losses of each arm beside those of the baseline.
        rule: how the study decides.
        family: number of arms that the study announced; None for the number given. Arms without
            enough runs count too, so that missing runs never make a verdict easier.
    """
    return compare_by([(sample, rule) for sample in samples], family)


def compare_by(
    tested: Sequence[tuple[Sample, Rule]], family: int | None = None
) -> list[ArmComparison]:
    """Compare arms with the baseline by several metrics, which share one level.

    Args:
        tested: for each arm and metric, a sample and how the study decides; ``alpha`` is the same.
        family: number of verdicts that the study announced; None for the number given.
    """
    ps = [sequential_p(sample, rule) for sample, rule in tested]
    total = max(family or 0, len(ps))
    alpha = tested[0][1].alpha if tested else 1.0
    adjusted, levels = holm(ps, total), holm_levels(ps, alpha, total)
    return [
        _decide(sample, p, adjusted_p, level, rule, total)
        for (sample, rule), p, adjusted_p, level in zip(tested, ps, adjusted, levels, strict=True)
    ]


def _decide(
    sample: Sample, p: float, adjusted_p: float, level: float, rule: Rule, family: int
) -> ArmComparison:
    number, differences = len(sample), sample.differences
    if number < 2:
        mean = float(np.mean(differences)) if number else math.nan
        first = rule.min_seeds or rule.seeds
        missing = (first if first > 1 else MIN_SEEDS_FOR_A_VERDICT) - number
        return ArmComparison(
            number, mean, math.nan, -math.inf, math.inf, 1.0, 1.0, INCONCLUSIVE, missing
        )
    found, agreeing = sample.estimate(), find_agreeing(differences, rule.margin)
    low, high = found.interval(rule.nominal_level(rule.alpha))
    if -rule.margin <= low and high <= rule.margin:
        return ArmComparison(
            number, found.difference, found.sd, low, high, p, adjusted_p, "no difference", None,
            1 - rule.alpha, agreeing, (low, high), found.items_error,
        )  # fmt: skip
    verdict, more_seeds, equivalence, needs_items = INCONCLUSIVE, None, (low, high), False
    if adjusted_p <= rule.alpha:
        number = deciding_look(sample, rule, level)
        found = sample.first(number).estimate()
        verdict = "better" if (found.difference > 0) == rule.is_higher_better else "worse"
    elif agreeing is None:
        needed = _seeds_needed(found, rule, number, family)
        more_seeds, needs_items = (None, True) if needed is None else (needed - number, False)
    low, high = found.interval(rule.nominal_level(level))
    return ArmComparison(
        number, found.difference, found.sd, low, high, p, adjusted_p, verdict, more_seeds,
        1 - level, agreeing, equivalence, found.items_error, needs_items,
    )  # fmt: skip


def _seeds_needed(found: Result, rule: Rule, number: int, family: int) -> int | None:
    """Estimate the number of seeds that would decide; None where the items are too few."""
    if found.items_error == 0:
        return seeds_to_decide_later(found.difference, found.sd, rule, number, family)
    return seeds_with_items(found.difference, found.sd, found.items_error, rule, number, family)


def holm_levels(ps: Sequence[float], alpha: float, family: int | None = None) -> list[float]:
    """Return the level at which Holm's method tests each hypothesis.

    The smallest p-value is tested at alpha / family, the next one at alpha / (family - 1), and so
    on. All hypotheses from the first one that is not rejected share the level of that one.
    """
    total = max(family or 0, len(ps))
    levels, rejected = [alpha] * len(ps), 0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        levels[index] = alpha / (total - rejected)
        if rank == rejected and ps[index] <= levels[index]:
            rejected += 1
    return levels


def level_name(confidence: float) -> str:
    """Return a confidence level as a percentage with at most three digits more than needed."""
    return f"{100 * confidence:.4g}%"


def holm(ps: Sequence[float], family: int | None = None) -> list[float]:
    """Return Holm's adjusted p-values; the family may include hypotheses without a p-value."""
    total = max(family or 0, len(ps))
    adjusted = [1.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, min(1.0, (total - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


def sd_interval(sd: float, number: int, level: float) -> tuple[float, float]:
    """Return the confidence interval at 1 - ``level`` of a standard deviation.

    It is exact for normally distributed values, whose sum of squares about their mean is
    chi-squared (NIST/SEMATECH e-Handbook of Statistical Methods, section 7.2.3.1).

    Args:
        sd: standard deviation of a sample.
        number: its size, at least 2.
        level: probability that the interval misses the true value.
    """
    freedom = number - 1
    upper, lower = special.chdtri(freedom, [level / 2, 1 - level / 2])
    return sd * math.sqrt(freedom / upper), sd * math.sqrt(freedom / lower)
