"""Exact bounds for t tests that are repeated as pairs arrive, up to a known number of pairs.

Each look tests at the same level, as Pocock's do (1977, Biometrika 64(2)). The p-value of the whole
sequence is the probability, under the null hypothesis, that the smallest p-value of all looks is as
small as the smallest one so far. It holds whenever the looks end, for any reason: those that were
not taken could only have made it smaller.

Under the null hypothesis, u[k] = sum x / sqrt(sum x^2) of normal differences is a Markov chain,

    u[k + 1] = (u[k] + r) / sqrt(1 + r^2),

because the direction of the first k differences is independent of their length, so that r, the next
difference over the root of the sum of squares, is t[k] / sqrt(k) whatever u[k] is. (The recursion
is that of Armitage, McPherson and Rowe 1969, J. R. Stat. Soc. A 132(2), for known spread; u takes
the place of the sum.) With r = tan(psi), u[k + 1] = sqrt(1 + u^2) sin(psi + atan(u)), and the
density of psi is proportional to cos(psi)^(k - 1). One integral per look therefore gives the exact
probability for finite samples. No normal approximation is involved.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from scipy import interpolate, optimize, special

from lmlab.study.t_test import t_bound

Array = np.ndarray[Any, np.dtype[np.float64]]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_GRID = 97  # values of u at which the probability of a later rejection is tabulated
# Below this level, the sum over the looks stands for the probability of the union, which is less.
_SMALL, _LARGE = 1e-7, 0.6  # above, 1 stands for it


def crossing_probability(levels: tuple[float, ...], looks: tuple[int, ...]) -> float:
    """Return the probability that a two-sided t test rejects at one or more looks.

    This is under the null hypothesis, with normal differences.

    Args:
        levels: level at each look, each above 0.
        looks: numbers of pairs, ascending, the first 2 or more.
    """
    last, by_look = looks[-1], dict(zip(looks, levels, strict=True))
    bounds = {number: _largest_u(level, number) for number, level in by_look.items()}
    later: interpolate.PchipInterpolator | None = None  # the probability, given |u| of this look
    for number in range(last - 1, looks[0] - 1, -1):
        limit = bounds.get(number + 1, math.inf)
        grid = _grid(number, by_look.get(number, 0.0), limit)
        chance = _rejected_next(grid, number, limit)
        if later is not None:
            chance = chance + _rejected_later(grid, number, limit, later)
        later = interpolate.PchipInterpolator(grid, chance)
    if later is None:
        return levels[0]
    # Start: u = sqrt(n) sin(phi), with a density proportional to cos(phi)^(n - 2).
    first = looks[0]
    end = math.asin(min(bounds[first] / math.sqrt(first), 1.0))
    ends = np.linspace(0, end, 129)  # short panels, for the kink
    phi = (ends[:-1, None] + np.diff(ends)[:, None] * (_NODES + 1) / 2).ravel()
    weights = (np.diff(ends)[:, None] / 2 * _WEIGHTS).ravel()
    density = np.cos(phi) ** (first - 2) / math.exp(_log_norm(first - 2))
    return float(levels[0] + 2 * np.sum(weights * density * later(math.sqrt(first) * np.sin(phi))))


def overall_p(smallest: float, looks: tuple[int, ...]) -> float:
    """Return the p-value of all looks from the smallest p-value of a look.

    Args:
        smallest: of the looks taken so far.
        looks: numbers of pairs at all looks that may be taken, ascending, the first 2 or more.
    """
    if len(looks) == 1 or smallest <= 0:
        return max(smallest, 0.0)
    if smallest >= _LARGE:
        return 1.0
    if smallest < _SMALL:
        return len(looks) * smallest
    return min(math.exp(float(_curve(looks)(math.log(smallest)))), 1.0)


@functools.lru_cache(maxsize=512)
def shared_level(alpha: float, looks: tuple[int, ...]) -> float:
    """Return the level of each look at which all looks together have level ``alpha``."""
    low, high = alpha / len(looks), alpha  # Bonferroni's bounds
    if len(looks) == 1 or overall_p(high, looks) <= alpha:
        return high
    if overall_p(low, looks) >= alpha:
        return low
    return float(
        optimize.brentq(lambda level: overall_p(level, looks) - alpha, low, high, xtol=low / 1e6)
    )


@functools.lru_cache(maxsize=32)
def _curve(looks: tuple[int, ...]) -> interpolate.PchipInterpolator:
    """Return the log of the probability of a rejection against the log of the level of a look."""
    levels = np.concatenate([np.geomspace(_SMALL, 0.1, 18), np.linspace(0.15, _LARGE, 8)])
    chances = [crossing_probability((level,) * len(looks), looks) for level in levels]
    at_ends = np.log(np.concatenate([[len(looks) * _SMALL], chances[1:]]))
    return interpolate.PchipInterpolator(np.log(levels), np.minimum(at_ends, 0.0))


def _largest_u(level: float, number: int) -> float:
    """Return the |u| beyond which the t test of ``number`` pairs rejects at ``level``."""
    t = t_bound(level, number - 1)
    return math.sqrt(number / (1 + (number - 1) / t**2)) if t > 0 else 0.0


def _grid(number: int, level: float, limit: float) -> Array:
    """Return values of |u| up to the bound of a look, at which to tabulate a probability.

    They are dense near the bound, where it rises, and above the value from which the next u can
    exceed ``limit``, where it has a kink.
    """
    lowest = level or 1e-5  # where there is no look, up to the end of the range
    t = -special.stdtrit(number - 1, lowest ** np.linspace(0, 1, _GRID) / 2)
    t[0] = 0.0
    grid = np.sqrt(number * t**2 / (number - 1 + t**2))
    end = grid[-1] if level > 0 else math.sqrt(number)
    kink = math.sqrt(max(limit**2 - 1, 0.0)) if math.isfinite(limit) else end
    beyond = kink + (end - kink) * np.linspace(0, 1, _GRID // 2) ** 2 if kink < end else grid
    return np.unique(np.concatenate([grid, beyond, [end]]))


def _panels(low: Array, high: Array) -> tuple[Array, Array]:
    """Split intervals, of shape (n,), into panels that are shorter towards the upper end."""
    cuts = 1 - np.array([1.0, 0.5, 0.2, 0.06, 0.0])
    ends = low[:, None] + (high - low)[:, None] * cuts
    return ends[:, :-1].ravel(), ends[:, 1:].ravel()


def _rejected_next(u: Array, number: int, bound: float) -> Array:
    """Return the probability that the next |u| exceeds ``bound``, given u; an infinite one none."""
    size = np.sqrt(1 + u * u)
    turn = np.arctan(u)
    reach = np.arcsin(np.minimum(bound / size, 1.0))
    # psi + atan(u) lies in (reach, pi - reach), or below -reach.
    upper = _angle_cdf(np.minimum(math.pi - reach - turn, math.pi / 2), number)
    lower = _angle_cdf(reach - turn, number)
    below = _angle_cdf(np.maximum(-reach - turn, -math.pi / 2), number)
    return np.where(bound < size, upper - lower + below, 0.0)


def _rejected_later(
    u: Array, number: int, limit: float, later: interpolate.PchipInterpolator
) -> Array:
    """Return the probability of no rejection at the next number of pairs, but at a later one."""
    size, turn = np.sqrt(1 + u * u), np.arctan(u)
    half = math.pi / 2
    reach = np.where(limit < size, np.arcsin(np.minimum(limit / size, 1.0)), half)
    end = min(limit, math.sqrt(number + 1))
    total = np.zeros_like(u)
    # From u = 0 to each end of the interval without a rejection, and from the far end of psi,
    # where the sine has passed its maximum, back to the bound.
    parts = [
        (-turn, np.maximum(-reach - turn, -half)),
        (-turn, np.minimum(reach - turn, half)),
        (np.full_like(u, half), np.minimum(math.pi - reach - turn, half)),
    ]
    for start, stop in parts:
        low, high = _panels(start, stop)
        psi = low[:, None] + (high - low)[:, None] * (_NODES + 1) / 2
        density = np.cos(psi) ** (number - 1)
        sizes, turns = (np.repeat(one, len(low) // len(u))[:, None] for one in (size, turn))
        after = np.minimum(np.abs(sizes * np.sin(psi + turns)), end)
        inner = (density * later(after)) @ _WEIGHTS * np.abs(high - low) / 2
        total += inner.reshape(len(u), -1).sum(axis=1)
    return total / math.exp(_log_norm(number - 1))


def _angle_cdf(psi: Array, number: int) -> Array:
    """Distribution function of psi = atan(t / sqrt(number)) for t with ``number`` degrees."""
    with np.errstate(over="ignore"):
        return np.asarray(special.stdtr(number, math.sqrt(number) * np.tan(psi)))


def _log_norm(power: int) -> float:
    """Log of the integral of cos(x)^power from -pi / 2 to pi / 2."""
    return float(special.betaln(0.5, (power + 1) / 2))
