"""Power: the difference that a study can find, and the number of seeds that would decide.

The t value of a true difference has the noncentral t distribution; see
:mod:`lmlab.study.noncentral_t`. The power of several looks, which has no closed form, is simulated.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import special

from lmlab.design.comparison import pairs_needed
from lmlab.study.noncentral_t import upper_tail
from lmlab.study.sequential_test import SIGN_FLIPS, Array, Rule
from lmlab.study.sign_flips import flip_intervals
from lmlab.study.t_test import t_bound
from lmlab.study.wave_forecast import forecast

MAX_SEEDS = 1000  # the search for a number of seeds ends here
_NUMBERS = range(2, MAX_SEEDS)
# With more pairs, the sign-flip test has nearly the power of the t test, which is used instead.
_MAX_FLIPPED = 12
# Multiples of the present number of pairs whose levels stand for those of the numbers below.
_FACTORS = (1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512)
_GAUSS = np.polynomial.legendre.leggauss(96)


def predicted_power(effect: float, sd: float, rule: Rule, family: int = 1) -> float:
    """Predict the probability that a difference with the right sign is found significant.

    It is exact for one look of the t test, and simulated otherwise.

    Args:
        effect: true mean difference, in the unit of the metric.
        sd: standard deviation of the paired differences.
        rule: how the study decides.
        family: number of arms; the prediction is for the first and hardest step of Holm's method.
    """
    if rule.looks[0] < 2:
        return 0.0  # no test can judge one pair
    effect, level = abs(effect), rule.nominal_level(rule.alpha / family)
    if rule.waves and sd > 0:
        return forecast(effect, sd, rule, family).found
    if sd == 0:
        return float(effect != 0 and _can_reject(rule.looks[-1], level, rule.test))
    if len(rule.looks) == 1:
        return _one_look_power(effect, sd, rule.looks[0], level, rule.test)
    equivalence_level = rule.nominal_level(rule.alpha)
    is_found, is_open = np.array(False), np.array(True)
    for number in rule.looks:
        low, high = _intervals(effect, sd, rule, number, level)
        is_found = is_found | (is_open & (low > 0))
        lowest, highest = _intervals(effect, sd, rule, number, equivalence_level)
        is_equivalent = (lowest >= -rule.margin) & (highest <= rule.margin)
        is_open = is_open & ~(low > 0) & ~(high < 0) & ~is_equivalent
    return float(is_found.mean())


def _intervals(
    effect: float, sd: float, rule: Rule, number: int, level: float
) -> tuple[Array, Array]:
    """Ends of the intervals of simulated studies, of shape (studies,)."""
    low, high = _standard_intervals(number, level, rule.looks, rule.test)
    return effect + sd * low, effect + sd * high


@functools.lru_cache(maxsize=16)
def _standard_intervals(
    number: int, level: float, looks: tuple[int, ...], test: str
) -> tuple[Array, Array]:
    """Ends of the intervals at 1 - ``level`` of simulated studies of standard normal pairs.

    Args:
        number: number of pairs at this look.
        level: level of the look.
        looks: number of pairs at all looks, which see the same simulated studies.
        test: one of the tests of a study.

    Returns:
        Lower and upper ends, each of shape (studies,).
    """
    is_flipped = test == SIGN_FLIPS and number <= _MAX_FLIPPED
    draws = 2_000 if test == SIGN_FLIPS else min(50_000, 5_000_000 // looks[-1])
    pairs = np.random.default_rng(1).normal(size=(draws, looks[-1]))[:, :number]
    if is_flipped:
        return flip_intervals(pairs, level)
    mean = pairs.mean(axis=1)
    half_width = t_bound(level, number - 1) * pairs.std(axis=1, ddof=1) / math.sqrt(number)
    return mean - half_width, mean + half_width


def _one_look_power(effect: float, sd: float, number: int, level: float, test: str) -> float:
    """Power of one test of ``number`` pairs to find a difference with its sign."""
    if not _can_reject(number, level, test):
        return 0.0
    if test == SIGN_FLIPS and number <= _MAX_FLIPPED:
        low, _ = _standard_intervals(number, level, (number,), test)
        return float(np.mean(effect + sd * low > 0))
    return upper_tail(t_bound(level, number - 1), number - 1, effect / sd * math.sqrt(number))


def _can_reject(number: int, level: float, test: str) -> bool:
    return test != SIGN_FLIPS or number >= pairs_needed(level)


def smallest_detectable(sd: float, rule: Rule, family: int = 1) -> float:
    """Return the smallest true difference that is found with the probability ``rule.power``.

    The result is infinite for a rule of one pair, which no test can judge.
    """
    if rule.looks[0] < 2:
        return math.inf
    if not _can_reject(rule.looks[-1], rule.nominal_level(rule.alpha / family), rule.test):
        return math.inf  # for any difference
    if sd == 0:
        return 0.0
    low, high = 0.0, sd
    while predicted_power(high, sd, rule, family) < rule.power:
        low, high = high, 2 * high
    for _ in range(12 if rule.waves else 30):  # simulated studies tell no smaller steps apart
        middle = (low + high) / 2
        if predicted_power(middle, sd, rule, family) < rule.power:
            low = middle
        else:
            high = middle
    return high


def seeds_to_decide(
    mean: float, sd: float, rule: Rule, family: int = 1, numbers: range = _NUMBERS
) -> int:
    """Estimate the number of pairs that would decide, from the observed difference and spread.

    Either verdict ends the question: with the rule's power, the difference is found at the first
    and hardest step of Holm's method for a ``family`` of arms, or the confidence interval is within
    the margin. The search is linear, so that it assumes no order.

    Args:
        mean: observed mean difference, in the unit of the metric.
        sd: observed standard deviation of the paired differences.
        rule: how the study decides.
        family: number of arms.
        numbers: numbers of pairs to try, ascending.

    Returns:
        The first of ``numbers`` that suffices; :data:`MAX_SEEDS` means that many or more.
    """
    levels = rule.nominal_level(rule.alpha / family), rule.nominal_level(rule.alpha)
    return next((n for n in numbers if _decides(abs(mean), sd, rule, n, levels)), MAX_SEEDS)


@functools.lru_cache(maxsize=4096)  # waves and reports ask again for the same pairs
def seeds_to_decide_later(mean: float, sd: float, rule: Rule, number: int, family: int = 1) -> int:
    """Estimate the number of pairs at which a study that has ``number`` pairs would decide.

    The study is repeated with more seeds, which is one more look at the same runs. The level of
    that look falls slowly with its number of pairs, so a few numbers not far above stand for all.

    Returns:
        The number of pairs, greater than ``number``; see :func:`seeds_to_decide`.
    """
    for factor in _FACTORS:
        planned = min(math.ceil(factor * number), MAX_SEEDS)
        later = rule.extended(planned)
        needed = seeds_to_decide(mean, sd, later, family, range(number + 1, planned + 1))
        if needed <= planned:
            return needed
    return MAX_SEEDS


def _decides(
    effect: float, sd: float, rule: Rule, number: int, levels: tuple[float, float]
) -> bool:
    if sd == 0:
        can_find, can_exclude = (_can_reject(number, level, rule.test) for level in levels)
        return (effect != 0 and can_find) or (effect <= rule.margin and can_exclude)
    return _power_to_decide(effect, sd, rule, number, levels) >= rule.power


def _power_to_decide(
    effect: float, sd: float, rule: Rule, number: int, levels: tuple[float, float]
) -> float:
    """Return the probability of a verdict; a bound of it where that is below the power."""
    if rule.test == SIGN_FLIPS and number <= _MAX_FLIPPED:
        (low, _), (lowest, highest) = (
            _standard_intervals(number, level, (number,), rule.test) for level in levels
        )
        is_found = effect + sd * low > 0
        is_equivalent = (effect + sd * lowest >= -rule.margin) & (
            effect + sd * highest <= rule.margin
        )
        return float(np.mean(is_found | is_equivalent))
    share = 0.0
    if rule.margin > 0:  # no interval is within the margin unless the observed spread is small
        ratio = rule.margin / sd * math.sqrt(number) / t_bound(levels[1], number - 1)
        share = float(special.chdtr(number - 1, (number - 1) * min(ratio, 1e100) ** 2))
    # No test of this level is more powerful than the one that knows the spread: by the lemma of
    # Neyman and Pearson (1933), it is uniformly most powerful.
    most = float(special.ndtr(effect / sd * math.sqrt(number) + special.ndtri(levels[0] / 2)))
    if most + share < rule.power:
        return most
    found = _one_look_power(effect, sd, number, levels[0], rule.test)
    if found + share < rule.power or not _can_reject(number, levels[1], rule.test):
        return found
    return found + _equivalence(effect / sd, rule.margin / sd, number, share, levels)


def _equivalence(
    effect: float, margin: float, number: int, share: float, levels: tuple[float, float]
) -> float:
    """Probability that the interval is within the margin, and the difference is not found.

    Given the observed spread, the mean is normal; the spread is integrated by Gauss's rule over its
    probability.

    Args:
        effect: true mean difference, in standard deviations of a pair.
        margin: margin in the same unit.
        number: number of pairs.
        share: probability that the spread leaves room for an interval within the margin.
        levels: levels at which a difference is found, and of the interval.
    """
    nodes, weights = _GAUSS
    spread = np.sqrt(2 * special.gammaincinv((number - 1) / 2, share * (nodes + 1) / 2))
    error = spread / math.sqrt((number - 1) * number)
    least, bound = (t_bound(level, number - 1) * error for level in levels)
    low, high = bound - margin, np.minimum(margin - bound, least)
    root = math.sqrt(number)
    inside = special.ndtr((high - effect) * root) - special.ndtr((low - effect) * root)
    return float(share / 2 * np.sum(weights * np.maximum(inside, 0.0)))
