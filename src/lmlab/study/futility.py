"""The probability that an undecided arm of a sequential study still gets a verdict.

An arm that will most likely end without a verdict may end now. That never adds a false "better",
"worse" or "no difference": each is reached less often. It costs some power, which the plan counts.

The last look is predicted from the present pairs, for normal pairs and Jeffreys' prior 1 / sd
(Geisser 1993, Predictive Inference, section 3.2). Let n pairs have the mean m and the standard
deviation s, and let k more make N. With X of the chi-squared distribution with n - 1 degrees, Y of
that with k - 1, and a standard normal Z,

    mean[N] = m + s Z sqrt(k (n - 1) / (n N X)),
    squares[N] = (n - 1) s^2 (1 + (Z^2 + Y) / X)

are the mean and the sum of squares about it. Quasi-Monte Carlo points stand for X, Y and Z.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy import special, stats

Array = np.ndarray[Any, np.dtype[np.float64]]
_POINTS = 9  # log2 of their number


def chance_of_verdict(
    mean: Array | float,
    error: Array | float,
    numbers: tuple[int, int],
    levels: tuple[float, float],
    margin: float,
) -> Array:
    """Return the predicted probability of a verdict at the last look, for each arm.

    Looks before the last one would add a little.

    Args:
        mean: present mean difference, in the unit of the metric, of shape (...).
        error: its standard error, in the same unit.
        numbers: number of pairs at present, 2 or more, and at the last look.
        levels: levels of the last look at which a difference is found, and of the interval that
            decides on "no difference".
        margin: largest difference that counts as none.

    Returns:
        Probabilities of shape (...).
    """
    number, last = numbers
    mean, sd = np.broadcast_arrays(np.abs(mean), np.asarray(error) * np.sqrt(number))
    shifts, errors = _futures(number, last)
    ends = np.abs(mean[..., None] + sd[..., None] * shifts)
    ahead = sd[..., None] * errors
    least, bound = (-special.stdtrit(last - 1, level / 2) for level in levels)
    is_found = ends > least * ahead
    return np.asarray((is_found | (ends + bound * ahead <= margin)).mean(axis=-1))


@functools.cache
def _futures(number: int, last: int) -> tuple[Array, Array]:
    """Return by how much the mean moves, and its standard error at the last look.

    Both are in units of the present standard deviation, at equally likely points.
    """
    more = last - number
    if more == 0:
        return np.zeros(1), np.full(1, 1 / np.sqrt(number))
    size = 2.0**-_POINTS
    points = (stats.qmc.Sobol(3, scramble=False).random_base2(_POINTS) + size / 2) % 1
    x = special.chdtri(number - 1, points[:, 0])
    z = special.ndtri(points[:, 1])
    y = special.chdtri(more - 1, points[:, 2]) if more > 1 else np.zeros(len(z))
    shifts = z * np.sqrt(more * (number - 1) / (number * last * x))
    squares = (number - 1) * (1 + (z**2 + y) / x)
    return shifts, np.sqrt(squares / ((last - 1) * last))
