"""Degrees of freedom of a sum of variances that were each estimated from few values.

The degrees of freedom of a sum of variances v_i with f_i degrees of freedom each are those of
Satterthwaite (1946, Biometrics Bulletin 2(6)), 1 / sum(s_i^2 / f_i), where s_i = v_i / sum(v) is
the true share of a variance. He uses the observed shares. With two or three seeds this fails where
one variance is known, such as that of a learning rate: a small observed variance then gets a small
quantile as well, and 90% intervals cover 83% to 88%. With expected shares, by a smooth noise, they
cover 90% to 97%. The shares used here, 0.3 times observed plus 0.7 times expected, cover 90% to 92%
for one to five variances of one to four degrees of freedom, with and without a known one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_OBSERVED = 0.3  # share of the observed variances; see the head of this module


def effective_freedom(
    parts: npt.ArrayLike,
    expected: npt.ArrayLike,
    freedoms: npt.ArrayLike,
    known: npt.ArrayLike = 0.0,
) -> npt.NDArray[Any]:
    """Return the degrees of freedom of sums of variances.

    Args:
        parts: observed variances, of shape (parts, ...).
        expected: the same variances by a smooth noise, of shape (parts, ...).
        freedoms: degrees of freedom of each part, of shape (parts,).
        known: a further part that is known, of shape (...).

    Returns:
        Degrees of freedom of shape (...); infinite for a sum that is known as a whole.
    """
    observed, smooth = np.asarray(parts, float), np.asarray(expected, float)
    total, smooth_total = known + observed.sum(0), known + smooth.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = _OBSERVED * np.where(total > 0, observed / total, 0.0)
        share += (1 - _OBSERVED) * np.where(smooth_total > 0, smooth / smooth_total, 0.0)
        inverse = 1 / np.asarray(freedoms, float)
        return np.asarray(1 / np.einsum("g...,g->...", share**2, inverse))
