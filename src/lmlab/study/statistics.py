"""The comparison of arms with the baseline: paired differences, t intervals, Holm's correction.

Differences are taken seed by seed: both runs of a pair see the same batches in the same order.
P-values are corrected over the arms of a study by Holm's method (1979, Scand. J. Statist. 6(2)).
Intervals are those on which the verdicts rest: an arm's interval has the level at which Holm's
method tests it, so it excludes zero exactly where the arm is found better or worse. "No difference"
follows Schuirmann (1987): the whole interval at 1 - alpha lies within the margin, which takes
precedence, because a study declares in advance that such differences do not count. Where a study
takes a second look, p-values and intervals account for both; see
:mod:`lmlab.study.sequential_test`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from lmlab.study.outlying_seeds import find_agreeing
from lmlab.study.power import seeds_to_decide
from lmlab.study.sequential_test import Rule, deciding_look, nominal_level, sequential_p, t_bound

INCONCLUSIVE = "inconclusive"
MIN_SEEDS_FOR_A_VERDICT = 5  # with three, Holm's first step over eight arms is hopeless


@dataclasses.dataclass(frozen=True)
class PairedComparison:
    """The comparison of one arm with the baseline.

    Attributes:
        seeds: number of pairs that the verdict rests on: all, unless the first look decided and the
            pairs added since blur the difference.
        difference: mean of arm minus baseline, in the unit of the metric.
        sd: standard deviation of the paired differences.
        low: lower end of the confidence interval that the verdict rests on.
        high: upper end of that interval.
        p: two-sided p-value; over both looks where the rule has two.
        adjusted_p: p-value corrected over the arms of the study.
        verdict: ``better``, ``worse``, ``no difference`` or ``inconclusive``.
        more_seeds: estimated number of further pairs that would decide; None unless inconclusive,
            or where a few pairs are far off, so that mean and spread predict nothing.
        confidence: confidence level of the interval, such as 0.95; None for fewer than two pairs.
        agreeing: indices of the pairs that agree where all others are far off; None otherwise.
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

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def bound(self) -> float:
        """The largest absolute difference within the confidence interval."""
        return max(abs(self.low), abs(self.high))


def compare(
    differences: Sequence[Sequence[float]], rule: Rule, family: int | None = None
) -> list[PairedComparison]:
    """Compare every arm of a study with its baseline.

    Args:
        differences: for each arm the paired differences, in the order of the seeds.
        rule: how the study decides.
        family: number of arms that the study announced; None for the number given. Arms without
            enough runs count too, so that missing runs never make a verdict easier.
    """
    ps = [sequential_p(pairs, rule) for pairs in differences]
    total = max(family or 0, len(ps))
    adjusted, levels = holm(ps, total), holm_levels(ps, rule.alpha, total)
    return [
        _compare_pairs(pairs, p, adjusted_p, level, rule, total)
        for pairs, p, adjusted_p, level in zip(differences, ps, adjusted, levels, strict=True)
    ]


def _compare_pairs(
    pairs: Sequence[float], p: float, adjusted_p: float, level: float, rule: Rule, family: int
) -> PairedComparison:
    if len(pairs) < 2:
        mean = float(np.mean(pairs)) if pairs else math.nan
        missing = (rule.seeds if rule.seeds > 1 else MIN_SEEDS_FOR_A_VERDICT) - len(pairs)
        return PairedComparison(
            len(pairs), mean, math.nan, -math.inf, math.inf, 1.0, 1.0, INCONCLUSIVE, missing
        )
    mean, sd = _mean_and_sd(pairs)
    low, high = t_interval(pairs, rule)
    agreeing = find_agreeing(pairs, rule.margin)
    if -rule.margin <= low and high <= rule.margin:
        return PairedComparison(
            len(pairs), mean, sd, low, high, p, adjusted_p, "no difference", None,
            1 - rule.alpha, agreeing,
        )  # fmt: skip
    if adjusted_p <= rule.alpha:
        pairs = pairs[: deciding_look(pairs, rule, level)]
        mean, sd = _mean_and_sd(pairs)
        verdict, more_seeds = ("better" if mean < 0 else "worse"), None
    else:
        verdict, more_seeds = INCONCLUSIVE, None
        if agreeing is None:
            more_seeds = max(seeds_to_decide(mean, sd, rule, family) - len(pairs), 1)
    low, high = t_interval(pairs, rule, level)
    return PairedComparison(
        len(pairs), mean, sd, low, high, p, adjusted_p, verdict, more_seeds, 1 - level, agreeing
    )


def _mean_and_sd(pairs: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation; equal values have exactly the deviation zero."""
    if np.ptp(pairs) == 0:
        return float(pairs[0]), 0.0
    return float(np.mean(pairs)), float(np.std(pairs, ddof=1))


def t_interval(
    pairs: Sequence[float], rule: Rule, alpha: float | None = None
) -> tuple[float, float]:
    """Return the t confidence interval at 1 - ``alpha``; wider for a rule with two looks.

    Args:
        pairs: two or more paired differences.
        rule: how the study decides.
        alpha: None for that of the rule.
    """
    mean, sd = _mean_and_sd(pairs)
    level = nominal_level(rule.alpha if alpha is None else alpha, rule.looks)
    half_width = t_bound(level, len(pairs) - 1) * sd / math.sqrt(len(pairs))
    return mean - half_width, mean + half_width


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
