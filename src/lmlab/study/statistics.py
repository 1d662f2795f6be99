"""The comparison of arms with the baseline: paired differences, t intervals, Holm's correction.

Differences are taken seed by seed: both runs of a pair see the same batches in the same order.
P-values are corrected over the arms of a study by Holm's method (1979, Scand. J. Statist. 6(2)).
"No difference" follows Schuirmann (1987): the whole interval lies within the margin. Where a study
takes a second look, p-values and intervals account for both; see
:mod:`lmlab.study.sequential_test`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from lmlab.study.power import seeds_to_decide
from lmlab.study.sequential_test import Rule, nominal_level, sequential_p

INCONCLUSIVE = "inconclusive"
MIN_SEEDS_FOR_A_VERDICT = 5  # with three, Holm's first step over eight arms is hopeless


@dataclasses.dataclass(frozen=True)
class PairedComparison:
    """The comparison of one arm with the baseline.

    Attributes:
        seeds: number of pairs.
        difference: mean of arm minus baseline, in the unit of the metric.
        sd: standard deviation of the paired differences.
        low: lower end of the confidence interval.
        high: upper end of the confidence interval.
        p: two-sided p-value; over both looks where the rule has two.
        adjusted_p: p-value corrected over the arms of the study.
        verdict: ``better``, ``worse``, ``no difference`` or ``inconclusive``.
        more_seeds: estimated number of further pairs that would decide; None unless inconclusive.
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
    adjusted = holm(ps, total)
    return [
        _compare_pairs(pairs, p, adjusted_p, rule, total)
        for pairs, p, adjusted_p in zip(differences, ps, adjusted, strict=True)
    ]


def _compare_pairs(
    pairs: Sequence[float], p: float, adjusted_p: float, rule: Rule, family: int
) -> PairedComparison:
    if len(pairs) < 2:
        mean = float(np.mean(pairs)) if pairs else math.nan
        missing = (rule.seeds if rule.seeds > 1 else MIN_SEEDS_FOR_A_VERDICT) - len(pairs)
        return PairedComparison(
            len(pairs), mean, math.nan, -math.inf, math.inf, 1.0, 1.0, INCONCLUSIVE, missing
        )
    low, high = t_interval(pairs, rule)
    mean, sd = float(np.mean(pairs)), float(np.std(pairs, ddof=1))
    more_seeds = None
    if adjusted_p <= rule.alpha and mean != 0:
        verdict = "better" if mean < 0 else "worse"
    elif -rule.margin <= low and high <= rule.margin:
        verdict = "no difference"
    else:
        verdict = INCONCLUSIVE
        more_seeds = max(seeds_to_decide(mean, sd, rule, family) - len(pairs), 1)
    return PairedComparison(len(pairs), mean, sd, low, high, p, adjusted_p, verdict, more_seeds)


def t_interval(pairs: Sequence[float], rule: Rule) -> tuple[float, float]:
    """Return the t confidence interval at 1 - alpha; wider for a rule with two looks."""
    values = np.asarray(pairs, dtype=np.float64)
    level = nominal_level(rule.alpha, rule.looks)
    half_width = (
        float(special.stdtrit(len(values) - 1, 1 - level / 2))
        * float(values.std(ddof=1))
        / math.sqrt(len(values))
    )
    return float(values.mean()) - half_width, float(values.mean()) + half_width


def holm(ps: Sequence[float], family: int | None = None) -> list[float]:
    """Return Holm's adjusted p-values; the family may include hypotheses without a p-value."""
    total = max(family or 0, len(ps))
    adjusted = [1.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, min(1.0, (total - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted
