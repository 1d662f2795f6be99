"""The probability that an undecided arm of a sequential study still gets a verdict.

An arm that will most likely end without a verdict may end now. That never adds a false "better",
"worse" or "no difference": each is reached less often. It costs some power, which the plan counts.

The difference at the end is predicted from the present pairs. For normal pairs and Jeffreys' prior
1 / sd, the mean of n pairs, of standard error e, becomes one of N pairs which is distributed as
mean + e sqrt(1 - n / N) t with n - 1 degrees of freedom (Geisser 1993, Predictive Inference,
section 3.2). A verdict is then decided as if the spread stayed what it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

Array = np.ndarray[Any, np.dtype[np.float64]]


def chance_of_verdict(
    mean: Array | float,
    error: Array | float,
    numbers: tuple[int, int],
    levels: tuple[float, float],
    margin: float,
) -> Array:
    """Return the predicted probability of a verdict at the last look, for each arm.

    Looks before the last one would add a little, so that this is a lower bound.

    Args:
        mean: present mean difference, in the unit of the metric.
        error: its standard error, in the same unit.
        numbers: number of pairs at present, 2 or more, and at the last look.
        levels: levels of the last look at which a difference is found, and of the interval that
            decides on "no difference".
        margin: largest difference that counts as none.
    """
    number, last = numbers
    mean, error = np.broadcast_arrays(np.abs(mean), np.asarray(error, dtype=np.float64))
    shrunk = error * np.sqrt(number / last)
    least, bound = (-special.stdtrit(last - 1, level / 2) * shrunk for level in levels)
    room = np.minimum(np.maximum(margin - bound, -1.0), least)
    scale = np.maximum(error * np.sqrt(1 - number / last), 1e-300)

    def below(value: Array) -> Array:
        return np.asarray(special.stdtr(number - 1, (value - mean) / scale))

    found = 1 - below(least) + below(-least)
    inside = np.where(margin >= bound, below(np.maximum(room, 0)) - below(-np.maximum(room, 0)), 0)
    return np.asarray(found + inside)
