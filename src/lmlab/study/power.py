"""Power: the difference that a study can find, and the number of seeds that would decide.

The t value of a true difference has the noncentral t distribution; see
:mod:`lmlab.study.noncentral_t`. The power of two looks, which has no closed form, is simulated.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from lmlab.study.noncentral_t import upper_tail
from lmlab.study.sequential_test import Array, Rule, nominal_level
from lmlab.study.t_test import t_bound

MAX_SEEDS = 1000  # the search for a number of seeds ends here


def predicted_power(effect: float, sd: float, rule: Rule, family: int = 1) -> float:
    """Predict the probability that a difference with the right sign is found significant.

    It is exact for one look, and simulated for two.

    Args:
        effect: true mean difference, in the unit of the metric.
        sd: standard deviation of the paired differences.
        rule: how the study decides.
        family: number of arms; the prediction is for the first and hardest step of Holm's method.
    """
    if rule.looks[0] < 2:
        return 0.0  # no test can judge one pair
    if sd == 0:
        return float(effect != 0)
    level = nominal_level(rule.alpha / family, rule.looks)
    if len(rule.looks) == 1:
        return _one_look_power(abs(effect), sd, rule.seeds, level)
    effect = abs(effect)
    mean_1, spread_1, mean_2, spread_2 = (
        sd * part + shift
        for part, shift in zip(_standard_studies(rule.looks), (effect, 0, effect, 0), strict=True)
    )
    first, total = rule.looks
    found_first = mean_1 > t_bound(level, first - 1) * spread_1
    is_wrong = mean_1 < -t_bound(level, first - 1) * spread_1
    half_width = t_bound(nominal_level(rule.alpha, rule.looks), first - 1) * spread_1
    is_equivalent = np.abs(mean_1) + half_width <= rule.margin
    found_second = ~is_wrong & ~is_equivalent & (mean_2 > t_bound(level, total - 1) * spread_2)
    return float((found_first | found_second).mean())


@functools.cache
def _standard_studies(looks: tuple[int, ...]) -> tuple[Array, Array, Array, Array]:
    """Mean and its standard error at each look of simulated studies of standard normal pairs."""
    draws = min(50_000, 5_000_000 // looks[-1])
    pairs = np.random.default_rng(1).normal(size=(draws, looks[-1]))
    first, second = (pairs[:, :number] for number in looks)
    return (
        first.mean(axis=1),
        first.std(axis=1, ddof=1) / math.sqrt(looks[0]),
        second.mean(axis=1),
        second.std(axis=1, ddof=1) / math.sqrt(looks[1]),
    )


def _one_look_power(effect: float, sd: float, number: int, level: float) -> float:
    """Power of one t test of ``number`` pairs to find a difference with its sign."""
    return upper_tail(t_bound(level, number - 1), number - 1, effect / sd * math.sqrt(number))


def smallest_detectable(sd: float, rule: Rule, family: int = 1) -> float:
    """Return the smallest true difference that is found with the probability ``rule.power``.

    The result is infinite for a rule of one pair, which no test can judge.
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
    """Estimate the number of pairs that would decide, from the observed difference and spread.

    Either verdict ends the question, and the one that takes fewer pairs counts: the difference is
    found with the rule's power at the first and hardest step of Holm's method for a ``family`` of
    arms, or the confidence interval is within the margin.

    Returns:
        The number of pairs; :data:`MAX_SEEDS` means that many or more.
    """
    to_find = _seeds_to_find(abs(mean), sd, rule, nominal_level(rule.alpha / family, rule.looks))
    to_exclude = _seeds_to_exclude(abs(mean), sd, rule, nominal_level(rule.alpha, rule.looks))
    return min(to_find, to_exclude)


def _seeds_to_find(effect: float, sd: float, rule: Rule, level: float) -> int:
    if effect == 0:
        return MAX_SEEDS
    if sd == 0:
        return 2
    return _smallest_number(lambda number: _one_look_power(effect, sd, number, level) >= rule.power)


def _seeds_to_exclude(effect: float, sd: float, rule: Rule, level: float) -> int:
    """Number of pairs whose interval is within the margin around zero."""
    return _smallest_number(
        lambda number: effect + t_bound(level, number - 1) * sd / math.sqrt(number) <= rule.margin
    )


def _smallest_number(is_enough: Callable[[int], bool]) -> int:
    """Return the smallest sufficient number of seeds; linear, so that it assumes no order."""
    return next((number for number in range(2, MAX_SEEDS) if is_enough(number)), MAX_SEEDS)
