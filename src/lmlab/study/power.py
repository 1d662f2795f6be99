"""Power: the difference that a study can find, and the number of seeds that would decide."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import numpy as np
from scipy import special, stats

from lmlab.study.sequential_test import Rule, nominal_level, p_values

_MAX_SEEDS = 1000


def predicted_power(effect: float, sd: float, rule: Rule, family: int = 1) -> float:
    """Predict the probability that an arm is found better (or worse), by simulation.

    Args:
        effect: true mean difference, in the unit of the metric.
        sd: standard deviation of the paired differences.
        rule: how the study decides.
        family: number of arms; the prediction is for the first and hardest step of Holm's method.
    """
    if sd == 0:
        return float(effect != 0)
    draws, level = 20_000, rule.alpha / family
    pairs = np.random.default_rng(1).normal(effect, sd, (draws, rule.looks[-1]))
    nominal = nominal_level(level, rule.looks)
    has_right_sign = np.sign(pairs.mean(axis=1)) == math.copysign(1, effect)
    if len(rule.looks) == 1:
        return float((has_right_sign & (p_values(pairs) <= nominal)).mean())
    first = pairs[:, : rule.seeds]
    found_first = p_values(first) <= nominal
    width = float(stats.t.isf(nominal_level(rule.alpha, rule.looks) / 2, rule.seeds - 1))
    half_width = width * first.std(axis=1, ddof=1) / math.sqrt(rule.seeds)
    equivalent = (np.abs(first.mean(axis=1)) + half_width <= rule.margin) & ~found_first
    right_first = found_first & (np.sign(first.mean(axis=1)) == math.copysign(1, effect))
    found_second = ~found_first & ~equivalent & (p_values(pairs) <= nominal) & has_right_sign
    return float((right_first | found_second).mean())


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
    arms, or the confidence interval lies within the margin.
    """
    to_find = _seeds_to_find(abs(mean), sd, rule, nominal_level(rule.alpha / family, rule.looks))
    to_exclude = _seeds_to_exclude(abs(mean), sd, rule, nominal_level(rule.alpha, rule.looks))
    return min(to_find, to_exclude)


def _seeds_to_find(effect: float, sd: float, rule: Rule, level: float) -> int:
    if effect == 0:
        return _MAX_SEEDS
    if sd == 0:
        return 2

    def is_enough(number: int) -> bool:
        bound = special.stdtrit(number - 1, 1 - level / 2)
        power = 1 - special.nctdtr(number - 1, effect / sd * math.sqrt(number), bound)
        return bool(power >= rule.power)

    return _smallest_number(is_enough)


def _seeds_to_exclude(effect: float, sd: float, rule: Rule, level: float) -> int:
    """Number of pairs whose interval lies within the margin around zero."""
    max_half_width = rule.margin - effect

    def is_enough(number: int) -> bool:
        half_width = special.stdtrit(number - 1, 1 - level / 2) * sd / math.sqrt(number)
        return bool(half_width <= max_half_width)

    return _smallest_number(is_enough) if max_half_width > 0 else _MAX_SEEDS


def _smallest_number(is_enough: Callable[[int], bool]) -> int:
    """Find the smallest sufficient number of seeds by bisection; every larger one suffices too."""
    return 2 + bisect.bisect_left(range(2, _MAX_SEEDS), True, key=is_enough)
