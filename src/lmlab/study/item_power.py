"""Power where items are a sample: seeds that would decide, and the smallest detectable difference.

More seeds reduce the part of the variance that lies between the seeds, but not that of the choice
of the items (:mod:`lmlab.study.item_test`). Tasks have many items, so the second part counts as
known; the first is integrated by Gauss's rule over the probability of its estimate.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from lmlab.study.power import MAX_SEEDS
from lmlab.study.sequential_test import Array, Rule
from lmlab.study.t_test import t_bound

_GAUSS = np.polynomial.legendre.leggauss(64)
# Multiples of the present number of pairs whose levels stand for those of the numbers below.
_FACTORS = (1.5, 2, 4, 8, 16, 64, 512)


def power_with_items(
    effect: float, sd: float, items_error: float, number: int, levels: tuple[float, float],
    margin: float = 0.0,
) -> float:  # fmt: skip
    """Return the probability of a verdict on an arm.

    Args:
        effect: true mean difference, not negative.
        sd: standard deviation of the difference of a pair of runs, each a mean over the items.
        items_error: standard error of the mean difference from the choice of the items.
        number: number of pairs, at least 2.
        levels: levels at which a difference is found, and at which none is within the margin.
        margin: largest difference that counts as none; 0 for the probability of a difference alone.
    """
    between = sd**2 / number
    total = math.sqrt(between + items_error**2)
    if total == 0:
        return float(effect != 0 or margin > 0)
    nodes, weights = _GAUSS
    freedom = number - 1
    estimate = between * 2 * special.gammaincinv(freedom / 2, (nodes + 1) / 2) / freedom
    least, bound = (_half_widths(level, estimate, freedom, items_error) for level in levels)
    # The mean is found beyond ``least``, and is equivalent from ``bound - margin`` to the opposite.
    ends = np.maximum(margin - bound, 0.0)
    found = special.ndtr((effect - least) / total)
    low, high = -ends, np.minimum(ends, least)
    inside = special.ndtr((high - effect) / total) - special.ndtr((low - effect) / total)
    return float(np.sum(weights * (found + np.maximum(inside, 0.0))) / 2)


def _half_widths(level: float, estimate: Array, freedom: int, items_error: float) -> Array:
    normal = float(special.ndtri(level / 2))
    widths: Array = np.sqrt(
        t_bound(level, freedom) ** 2 * estimate + (normal * items_error) ** 2
    )  # fmt: skip
    return widths


def smallest_with_items(sd: float, items_error: float, rule: Rule, family: int = 1) -> float:
    """Return the smallest true difference that the first look finds with ``rule.power``.

    Args:
        sd: see :func:`power_with_items`.
        items_error: likewise.
        rule: how the study decides.
        family: number of verdicts that share the level.
    """
    if rule.seeds < 2:
        return math.inf
    level = rule.nominal_level(rule.alpha / family)
    low, high = 0.0, math.hypot(sd, items_error)
    if high == 0:
        return 0.0
    while power_with_items(high, sd, items_error, rule.seeds, (level, level)) < rule.power:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        power = power_with_items(middle, sd, items_error, rule.seeds, (level, level))
        low, high = (middle, high) if power < rule.power else (low, middle)
    return high


def seeds_with_items(
    effect: float, sd: float, items_error: float, rule: Rule, number: int, family: int = 1
) -> int | None:
    """Estimate the number of pairs at which a study that has ``number`` pairs would decide.

    Args:
        effect: observed mean difference.
        sd: see :func:`power_with_items`, as observed.
        items_error: likewise.
        rule: how the study decides.
        number: number of pairs so far.
        family: number of verdicts that share the level.

    Returns:
        The number of pairs, greater than ``number``; :data:`lmlab.study.power.MAX_SEEDS` for that
        many or more; None where no number of seeds decides, because the items are too few.
    """
    last = rule.extended(MAX_SEEDS)
    levels = last.nominal_level(last.alpha / family), last.nominal_level(last.alpha)
    if power_with_items(abs(effect), 0.0, items_error, 2, levels, rule.margin) < rule.power:
        return None
    for factor in _FACTORS:
        planned = min(math.ceil(factor * number), MAX_SEEDS)
        later = rule.extended(planned)
        levels = later.nominal_level(later.alpha / family), later.nominal_level(later.alpha)
        for seeds in range(number + 1, planned + 1):
            power = power_with_items(abs(effect), sd, items_error, seeds, levels, rule.margin)
            if power >= rule.power:
                return seeds
    return MAX_SEEDS
