"""Exponents of the width in the sizes of activations."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from lmlab.demos.activation_sizes import KINDS, Sizes
from lmlab.study.t_test import t_bound

START, END, CHANGE = "start", "end", "change"
GROWS, SHRINKS, STAYS, UNCLEAR, INFINITE = "grows", "shrinks", "stays", "unclear", "infinite"
_LEVEL = 0.1  # intervals of 90 %

# Sizes by width, one per seed; None where an activation became infinite.
Measured = dict[int, list[dict[str, Sizes] | None]]


@dataclasses.dataclass(frozen=True)
class Slope:
    """The exponent of the width in a mean absolute activation.

    Attributes:
        value: slope of the logarithms, the mean over seeds; NaN if an activation became infinite.
        low: lower end of the 90 % interval over seeds.
        high: upper end of the interval.
    """

    value: float
    low: float
    high: float

    def trend(self, tolerance: float) -> str:
        """Return whether the activation grows or shrinks with the width, or stays."""
        if math.isnan(self.value):
            return INFINITE
        if self.low > tolerance:
            return GROWS
        if self.high < -tolerance:
            return SHRINKS
        return STAYS if -tolerance <= self.low and self.high <= tolerance else UNCLEAR


def fit_slopes(measured: Measured) -> dict[tuple[str, str], Slope]:
    """Fit a slope per kind of activation and attribute of :class:`Sizes`, over all widths."""
    return {
        (kind, which): _fit(measured, kind, which)
        for kind in KINDS
        for which in (START, END, CHANGE)
    }


def _fit(measured: Measured, kind: str, which: str) -> Slope:
    widths = np.log(list(measured))
    slopes = []
    for of_seed in zip(*measured.values(), strict=True):
        sizes = [math.inf if one is None else getattr(one[kind], which) for one in of_seed]
        if not all(0 < size < math.inf for size in sizes):
            return Slope(math.nan, math.nan, math.nan)
        slopes.append(float(np.polyfit(widths, np.log(sizes), 1)[0]))
    half = t_bound(_LEVEL, len(slopes) - 1) * float(np.std(slopes, ddof=1)) / len(slopes) ** 0.5
    mean = float(np.mean(slopes))
    return Slope(mean, mean - half, mean + half)
