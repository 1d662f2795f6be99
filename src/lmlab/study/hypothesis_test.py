"""What every hypothesis test of a study takes and returns: a sample of final losses, a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Result(Protocol):
    """The result of a test: an estimated difference with its p-value and intervals."""

    @property
    def difference(self) -> float:
        """Estimated difference of arm minus baseline, in the unit of the metric."""

    @property
    def sd(self) -> float:
        """Standard deviation of one difference, in the same unit."""

    @property
    def p(self) -> float:
        """Two-sided p-value."""

    @property
    def items_error(self) -> float:
        """Standard error from the choice of the items, which no number of seeds reduces."""

    def interval(self, level: float) -> tuple[float, float]:
        """Return the lower and upper end of the interval with the confidence 1 - ``level``."""


class Sample(Protocol):
    """Final losses of an arm and of the baseline that are compared, in the order of the seeds.

    Its length is the number of seeds of the arm that count.
    """

    def __len__(self) -> int: ...

    @property
    def differences(self) -> Sequence[float]:
        """A difference from the baseline for each seed of the arm; their mean is the estimate."""

    def first(self, number: int) -> Sample:
        """Return the sample of the first ``number`` seeds."""

    def estimate(self) -> Result:
        """Return the estimated difference of a sample of two seeds or more."""


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation, with n - 1 in the denominator.

    The deviation of equal values is exactly zero, without rounding errors.

    Args:
        values: two values or more, or one or more equal ones; their unit is that of the results.
    """
    if np.ptp(values) == 0:
        return float(values[0]), 0.0
    return float(np.mean(values)), float(np.std(values, ddof=1))
