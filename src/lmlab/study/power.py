"""Power: the difference that a study can find, and the number of seeds that would decide.

The t value of a true difference has the noncentral t distribution; see
:mod:`lmlab.study.noncentral_t`. The power of two looks, which has no closed form, is simulated.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from lmlab.design.comparison import pairs_needed
from lmlab.study.noncentral_t import upper_tail
from lmlab.study.sequential_test import SIGN_FLIPS, Array, Rule
from lmlab.study.sign_flips import flip_intervals
from lmlab.study.t_test import t_bound

MAX_SEEDS = 1000  # the search for a number of seeds ends here
# With more pairs, the sign-flip test has nearly the power of the t test, which is used instead.
_MAX_FLIPPED = 12


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
    to_find = _seeds_to_find(abs(mean), sd, rule, rule.nominal_level(rule.alpha / family))
    to_exclude = _seeds_to_exclude(abs(mean), sd, rule, rule.nominal_level(rule.alpha))
    return min(to_find, to_exclude)


def _seeds_to_find(effect: float, sd: float, rule: Rule, level: float) -> int:
    if effect == 0:
        return MAX_SEEDS
    if sd == 0:
        return _smallest_number(lambda number: _can_reject(number, level, rule.test))
    return _smallest_number(
        lambda number: _one_look_power(effect, sd, number, level, rule.test) >= rule.power
    )


def _seeds_to_exclude(effect: float, sd: float, rule: Rule, level: float) -> int:
    """Number of pairs whose interval is within the margin around zero."""
    return _smallest_number(
        lambda number: (
            _can_reject(number, level, rule.test)
            and effect + t_bound(level, number - 1) * sd / math.sqrt(number) <= rule.margin
        )
    )


def _smallest_number(is_enough: Callable[[int], bool]) -> int:
    """Return the smallest sufficient number of seeds; linear, so that it assumes no order."""
    return next((number for number in range(2, MAX_SEEDS) if is_enough(number)), MAX_SEEDS)
