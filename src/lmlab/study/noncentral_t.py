"""The upper tail of the noncentral t distribution, by numerical integration.

SciPy's ``nctdtr`` (1.17.1) returns NaN at isolated points, such as (129, 40.0, 2.8), and a search
that calls it returns wrong answers. The integrand here is smooth, positive and bounded.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)
_REACH = 9.0  # standard deviations; the normal tail beyond is below 1e-18


def upper_tail(bound: float, freedom: int, noncentrality: float) -> float:
    """Return P(T > bound) for T = (Z + noncentrality) / S.

    Z is standard normal; S is the square root of a chi-squared variable over its degrees of
    freedom. Given S, the probability is Phi(noncentrality - bound * S): 1 for small S, 0 for large
    S, and between them an integral over the density of S (Johnson, Kotz and Balakrishnan 1995,
    Continuous Univariate Distributions 2, chapter 31).

    Args:
        bound: positive; may be infinite.
        freedom: degrees of freedom, at least 1.
        noncentrality: may be infinite.
    """
    if bound == math.inf or noncentrality == math.inf:
        return float(noncentrality == math.inf)
    low = max((noncentrality - _REACH) / bound, 0.0)
    spread = _REACH / math.sqrt(2 * freedom)
    if low > 1 + 2 * spread:
        return 1.0
    low, start = max(low, 1 - 2 * spread), low
    high = min(max((noncentrality + _REACH) / bound, 0.0), 1 + 2 * spread)
    below = float(special.chdtr(freedom, freedom * start**2))
    if high <= low:
        return below
    scale = low + (high - low) * (_NODES + 1) / 2
    log_density = (
        math.log(2)
        + freedom / 2 * math.log(freedom / 2)
        - math.lgamma(freedom / 2)
        + (freedom - 1) * np.log(scale)
        - freedom * scale**2 / 2
    )
    inner = _WEIGHTS * np.exp(log_density) * special.ndtr(noncentrality - bound * scale)
    return min(below + float(inner.sum()) * (high - low) / 2, 1.0)
