"""Evidence that may be looked at after every pair: e-processes and confidence sequences.

The data are paired differences x[1], x[2], ... with unknown mean and standard deviation. Of the
first n pairs, only u[n] = sum x / sqrt(sum x^2) is used, which does not depend on their unit. It is
a function of Student's t[n], u^2 = n t^2 / (n - 1 + t^2), and exists from the first pair on. Let
L[n](d) be the likelihood of u[n] for a true difference of d standard deviations, divided by that
for no difference:

    L[n](d) = exp(-n d^2 / 2) E[exp(d u[n] X)], where X has the chi distribution with n degrees.

Where there is no difference, L[n](d) is a martingale with mean 1 (Lai 1976, Annals of Statistics
4(2); Perez-Ortiz et al. 2024, Annals of Statistics 52(4)), and so is its mean over any distribution
of d that was chosen beforehand. Such a process exceeds 1 / alpha, at any time, with a probability
of at most alpha (Ville 1939). A decision may therefore be taken after any pair, by any rule, and
e-values of several hypotheses may be combined in ways that p-values may not.

Here d has the normal distribution with mean 0 and standard deviation ``spread``, or its positive
half. The first has a closed form (Wang and Ramdas 2024, "Anytime-valid t-tests and confidence
sequences for Gaussian means with unknown variance", with c = 1 / spread); so does the second, as
the mean of exp(a X) over the half is a distribution function of Student's t.
:mod:`lmlab.study.group_bounds` needs fewer pairs, but has to know their largest number beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

Array = np.ndarray[Any, np.dtype[np.float64]]

# Standard deviation of the effects that the mixtures expect, in standard deviations of a pair. With
# 3 to 12 pairs, only effects of about 1 to 4 can be found.
SPREAD = 2.0


def scale_free_sums(differences: Array) -> Array:
    """Return u[n] = sum x / sqrt(sum x^2) of the first n differences, for each n.

    Args:
        differences: shape (..., n), in any unit.

    Returns:
        Shape (..., n), from -sqrt(n) to sqrt(n); 0 where all differences so far are 0.
    """
    x = np.asarray(differences, dtype=np.float64)
    largest = np.maximum.accumulate(np.abs(x), axis=-1)
    sums, squares = np.cumsum(x, axis=-1), np.cumsum(x * x, axis=-1)
    return np.where(largest > 0, sums / np.sqrt(np.where(squares > 0, squares, 1.0)), 0.0)


def two_sided_e(differences: Array, spread: float = SPREAD) -> Array:
    """Return the evidence against a mean of 0 after each pair.

    Args:
        differences: shape (..., n).
        spread: standard deviation of the expected effects, in standard deviations of a pair.

    Returns:
        E-values of shape (..., n): 1 for no evidence, as after one pair.
    """
    u = scale_free_sums(differences)
    return np.exp(_log_two_sided(u, _numbers(u), spread))


def one_sided_e(differences: Array, spread: float = SPREAD) -> Array:
    """Return the evidence that the mean is above 0, against a mean of 0 or below, after each pair.

    A mean below 0 moves every t[n] down, with which the process rises, so that it stays below one
    that is a martingale. For evidence of a mean below 0, pass the negative differences.

    Args:
        differences: shape (..., n).
        spread: standard deviation of the normal distribution whose positive half is expected.

    Returns:
        E-values of shape (..., n).
    """
    u = scale_free_sums(differences)
    n = _numbers(u)
    t = np.sqrt(n) * u / np.sqrt(n + spread**-2 - u * u)
    return 2 * np.exp(_log_two_sided(u, n, spread)) * special.stdtr(n, t)


def confidence_sequence(
    differences: Array, level: float, spread: float = SPREAD
) -> tuple[Array, Array]:
    """Return intervals that all hold together: the mean is in every one of them.

    An interval contains each mean that :func:`two_sided_e` does not reject at ``level``.

    Args:
        differences: shape (..., n).
        level: probability that one or more of the intervals miss the mean.
        spread: standard deviation of the expected effects, in standard deviations of a pair.

    Returns:
        Lower and upper ends, of shape (..., n); infinite where the pairs are too few.
    """
    x = np.asarray(differences, dtype=np.float64)
    n = _numbers(x)
    mean = np.cumsum(x, axis=-1) / n
    # Sums of squares about the mean, updated so that equal values have exactly none (Welford 1962).
    before = np.concatenate([x[..., :1], mean[..., :-1]], axis=-1)
    squares = np.cumsum((x - before) * (x - mean), axis=-1)
    c = spread**-2
    bound = (n + c) * -np.expm1((2 * np.log(level) + np.log(c / (n + c))) / n)  # of u^2
    room = n - bound
    with np.errstate(divide="ignore", invalid="ignore"):
        # u^2 = n t^2 / (n - 1 + t^2), and t = mean / sqrt(squares / (n (n - 1))).
        half_width = np.sqrt(np.maximum(squares, 0.0) * bound / (n * room))
    half_width = np.where(room > 0, half_width, np.inf)
    return mean - half_width, mean + half_width


def _log_two_sided(u: Array, n: Array, spread: float) -> Array:
    c = spread**-2
    return -np.log1p(n / c) / 2 - n / 2 * np.log1p(-u * u / (n + c))


def _numbers(values: Array) -> Array:
    return np.arange(1.0, values.shape[-1] + 1)
