"""The t tests of a study: paired for arms that share seeds with the baseline, Welch's otherwise.

Paired differences are tested by the one-sample t test (Student 1908, Biometrika 6(1)). Runs that
share no seeds are tested by the difference of their means with unequal variances (Welch 1947,
Biometrika 34(1/2)), whose degrees of freedom are those of Satterthwaite (1946, Biometrics Bulletin
2(6)).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from scipy import special

from lmlab.study.hypothesis_test import mean_and_sd


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An estimated difference between arm and baseline.

    Attributes:
        difference: mean of arm minus baseline, in the unit of the metric.
        sd: standard deviation of one difference: of a pair, or of two independent runs.
        error: standard error of ``difference``.
        freedom: degrees of freedom of the t distribution of ``difference / error``.
    """

    difference: float
    sd: float
    error: float
    freedom: float

    @property
    def items_error(self) -> float:
        """Zero: the items, if there are any, are not a sample."""
        return 0.0

    @property
    def p(self) -> float:
        """Two-sided p-value; 0 or 1 without any spread."""
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * special.stdtr(self.freedom, -abs(self.difference) / self.error))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the confidence interval at 1 - ``level``."""
        half_width = t_bound(level, self.freedom) * self.error
        return self.difference - half_width, self.difference + half_width


@dataclasses.dataclass(frozen=True)
class Pairs:
    """An arm whose runs share their seeds with runs of the baseline.

    Attributes:
        differences: arm minus baseline, for each seed.
    """

    differences: Sequence[float]

    def __len__(self) -> int:
        return len(self.differences)

    def first(self, number: int) -> Pairs:
        """Return the first ``number`` pairs."""
        return Pairs(self.differences[:number])

    def estimate(self) -> Estimate:
        """Return the estimate of the paired t test."""
        mean, sd = mean_and_sd(self.differences)
        return Estimate(mean, sd, sd / math.sqrt(len(self)), len(self) - 1)


@dataclasses.dataclass(frozen=True)
class IndependentRuns:
    """An arm whose runs share no seeds with those of the baseline.

    Attributes:
        arm: losses of the arm.
        baseline: losses of the baseline.
    """

    arm: Sequence[float]
    baseline: Sequence[float]

    def __len__(self) -> int:
        return min(len(self.arm), len(self.baseline))

    @property
    def differences(self) -> Sequence[float]:
        """Differences of the arm's losses from the mean loss of the baseline."""
        if not self.baseline:
            return ()
        mean, _ = mean_and_sd(self.baseline)
        return [loss - mean for loss in self.arm]

    def first(self, number: int) -> IndependentRuns:
        """Return the first ``number`` runs of both; all runs where the shorter list has no more."""
        if number >= len(self):
            return self
        return IndependentRuns(self.arm[:number], self.baseline[:number])

    def estimate(self) -> Estimate:
        """Return the estimate of Welch's t test."""
        (mean, sd), (reference, reference_sd) = map(mean_and_sd, (self.arm, self.baseline))
        parts = sd**2 / len(self.arm), reference_sd**2 / len(self.baseline)
        error = math.sqrt(sum(parts))
        freedoms = len(self.arm) - 1, len(self.baseline) - 1
        freedom = float(sum(freedoms))  # without any spread
        if error > 0:
            freedom = sum(parts) ** 2 / sum(
                part**2 / one for part, one in zip(parts, freedoms, strict=True)
            )
        return Estimate(mean - reference, math.hypot(sd, reference_sd), error, freedom)


def t_bound(level: float, freedom: float) -> float:
    """Return the t value that a two-sided test at ``level`` requires."""
    return -float(special.stdtrit(freedom, level / 2))
