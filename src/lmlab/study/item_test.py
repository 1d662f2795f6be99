"""The test of differences on a task whose items are a sample, as its seeds are.

An arm and a baseline that share seeds and items differ by d[s, i] with seed s on item i. With both
drawn at random, d[s, i] = mean + seed[s] + item[i] + rest[s, i], the two-way layout with random
effects and one value per cell (Searle, Casella and McCulloch 1992, Variance Components, section
4.3). Its mean squares between the n seeds, between the m items and of the rest have the
expectations

    rest + m * seed,    rest + n * item,    rest

where the names stand for variances. The variance of the grand mean, seed / n + item / m +
rest / (n * m), is the sum of two parts: that between the seeds, MS_seeds / (n * m) with n - 1
degrees of freedom, which is the squared error of the t test over the seeds' means; and that of the
choice of the items, (MS_items - MS_rest) / (n * m), with m - 1 degrees.

A negative second part counts as zero (Searle et al., section 4.4), which leaves the t test over the
seeds' means. Where the items are the task itself, and no sample, the first part always stands
alone. Right and wrong answers give means in steps: those of a few seeds are often equal, which is
no sign of certainty. The first part is therefore at least that of the rounding to such steps, whose
variance is a twelfth of the squared step (Sheppard 1898, Proc. London Math. Soc. s1-29).

The half-width of the interval at a level is

    sqrt(t(level, n - 1)^2 * first part + t(level, m - 1)^2 * second part)

as Banerjee (1960, Sankhya 22(3/4)) combines the errors of two means. It is conservative: the
probability that a chi-squared variable of one degree of freedom is at most x is concave in x, so by
Jensen's inequality the interval of a sum of parts covers at least as often as the intervals of
single parts do on average, whose confidence is exact. Satterthwaite's approximation (1946,
Biometrics Bulletin 2(6)) gives the estimated sum one number of degrees of freedom instead. With few
seeds that number is too large whenever the seeds agree by chance, and there are too many false
verdicts: ``tests/support/simulated_task_verdicts.py`` compares both, and others.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import optimize, special

Array = np.ndarray[Any, np.dtype[np.float64]]
_LEAST_P = 1e-100  # SciPy's stdtrit (1.17.1) returns infinity at some points far below


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the variance of an estimated difference.

    Attributes:
        variance: estimate of the part.
        freedom: its degrees of freedom.
    """

    variance: float
    freedom: float


@dataclasses.dataclass(frozen=True)
class PartsEstimate:
    """An estimated difference whose variance is a sum of parts, each estimated by itself.

    Attributes:
        difference: mean of arm minus baseline, in the unit of the metric.
        sd: standard deviation of one difference of the means over the items: of a pair of runs, or
            of two independent runs.
        parts: of the variance of ``difference``; one has one degree of freedom or more.
        items_error: standard error of ``difference`` from the choice of the items, which no number
            of seeds reduces.
    """

    difference: float
    sd: float
    parts: tuple[Part, ...]
    items_error: float

    @functools.cached_property
    def p(self) -> float:
        """Two-sided p-value: the level at which the interval ends at zero."""
        if not any(part.variance for part in self.parts):
            return 1.0 if self.difference == 0 else 0.0
        size = abs(self.difference)

        def excess(log_level: float) -> float:
            return size - self._half_width(math.exp(log_level))

        lowest = math.log(_LEAST_P)
        if size == 0:
            return 1.0
        if excess(lowest) >= 0:
            return _LEAST_P
        return math.exp(float(optimize.brentq(excess, lowest, 0.0, xtol=1e-12)))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the confidence interval at 1 - ``level``."""
        half_width = self._half_width(level)
        return self.difference - half_width, self.difference + half_width

    def _half_width(self, level: float) -> float:
        return float(half_width(level, [(part.variance, part.freedom) for part in self.parts]))


@dataclasses.dataclass(frozen=True)
class ItemPairs:
    """An arm whose runs share seeds and items with runs of the baseline.

    Attributes:
        values: arm minus baseline, (seeds, items); two items or more.
        are_items_random: whether the items are a sample, and not the task itself.
    """

    values: Array
    are_items_random: bool = True

    def __len__(self) -> int:
        return len(self.values)

    @property
    def differences(self) -> Sequence[float]:
        """The difference of each seed: the mean over the items."""
        return [float(row.mean()) for row in self.values]

    def first(self, number: int) -> ItemPairs:
        """Return the first ``number`` pairs."""
        return ItemPairs(self.values[:number], self.are_items_random)

    def estimate(self) -> PartsEstimate:
        """Return the estimate of two pairs or more."""
        seeds, items = self.values.shape
        between, of_items = map(float, variance_parts(self.values, smallest_step(self.values)))
        of_items = of_items if self.are_items_random else 0.0
        return PartsEstimate(
            float(self.values.mean()),
            math.sqrt(between * seeds),
            (Part(between, seeds - 1), Part(of_items, items - 1)),
            math.sqrt(of_items),
        )


@dataclasses.dataclass(frozen=True)
class IndependentItemRuns:
    """An arm whose runs share the items, but no seeds, with those of the baseline.

    The part between the seeds of each side is that of Welch's test. The part of the items is the
    variance over items of the difference between the means of both sides, without what the rest of
    each side, estimated from its own layout, adds to it.

    Attributes:
        arm: scores of the arm, (seeds, items).
        baseline: scores of the baseline, (seeds, items).
        are_items_random: whether the items are a sample, and not the task itself.
    """

    arm: Array
    baseline: Array
    are_items_random: bool = True

    def __len__(self) -> int:
        return min(len(self.arm), len(self.baseline))

    @property
    def differences(self) -> Sequence[float]:
        """Differences of the arm's mean scores from that of the baseline over all its runs."""
        if not len(self.baseline):
            return ()
        reference = self.baseline.mean()
        return [float(row.mean() - reference) for row in self.arm]

    def first(self, number: int) -> IndependentItemRuns:
        """Return the first ``number`` runs of both; all runs where one side has no more."""
        if number >= len(self):
            return self
        return IndependentItemRuns(self.arm[:number], self.baseline[:number], self.are_items_random)

    def estimate(self) -> PartsEstimate:
        """Return the estimate of two runs or more on both sides."""
        between, rest = [], 0.0
        for side in (self.arm, self.baseline):
            of_seeds, _, residual = mean_squares(side)
            least = rounding(smallest_step(side), *side.shape)
            between.append(Part(max(float(of_seeds) / side.size, least), len(side) - 1))
            rest += float(residual) / len(side)
        number = self.arm.shape[1]
        by_item = self.arm.mean(axis=0) - self.baseline.mean(axis=0)
        of_items = max(float(by_item.var(ddof=1)) - rest, 0.0) / number
        of_items = of_items if self.are_items_random else 0.0
        sides = zip(between, (self.arm, self.baseline), strict=True)
        return PartsEstimate(
            float(by_item.mean()),
            math.sqrt(sum(part.variance * len(side) for part, side in sides)),
            (*between, Part(of_items, number - 1)),
            math.sqrt(of_items),
        )


def mean_squares(values: Array) -> tuple[Array, Array, Array]:
    """Return the mean squares between seeds, between items, and of the rest.

    Args:
        values: (..., seeds, items), two or more of each.

    Returns:
        Three arrays of shape (...), of the squared unit of the values.
    """
    seeds, items = values.shape[-2:]
    by_seed, by_item = values.mean(axis=-1), values.mean(axis=-2)
    of_seeds = items * by_seed.var(axis=-1, ddof=1)
    of_items = seeds * by_item.var(axis=-1, ddof=1)
    total = seeds * items * values.var(axis=(-2, -1))
    rest = total - (seeds - 1) * of_seeds - (items - 1) * of_items
    return of_seeds, of_items, np.maximum(rest, 0.0) / ((seeds - 1) * (items - 1))


def variance_parts(values: Array, step: float = 0.0) -> tuple[Array, Array]:
    """Return the parts of the variance of the grand mean: between seeds, and of the items.

    Args:
        values: (..., seeds, items), two or more of each.
        step: smallest difference of two values that are not equal; 0 for continuous ones.

    Returns:
        Two arrays of shape (...).
    """
    seeds, items = values.shape[-2:]
    return split_variance(mean_squares(values), seeds, items, step)


def split_variance(
    squares: tuple[Array, Array, Array], seeds: int, items: int, step: float = 0.0
) -> tuple[Array, Array]:
    """Return :func:`variance_parts` from mean squares."""
    of_seeds, of_items, rest = squares
    number, least = seeds * items, rounding(step, seeds, items)
    return np.maximum(of_seeds / number, least), np.maximum(of_items - rest, 0.0) / number


def rounding(step: float, seeds: int, items: int) -> float:
    """Return the variance that rounding the means of the seeds adds to their mean.

    Args:
        step: of the values; that of their means is ``step / items``.
        seeds: number of them.
        items: number of items.
    """
    return (step / items) ** 2 / (12 * seeds)


def smallest_step(values: Array) -> float:
    """Return the smallest difference of two values that are not equal; 0 where all are."""
    gaps = np.diff(np.unique(values))
    return float(gaps.min()) if gaps.size else 0.0


def half_width(level: float, parts: Sequence[tuple[Any, float]]) -> Any:
    """Return half the width of the interval at 1 - ``level``.

    Args:
        level: probability that the interval misses the true difference.
        parts: of the variance, a number or an array of them, each with its degrees of freedom.

    Returns:
        The half-width for each set of parts.
    """
    ends = (
        -special.stdtrit(freedom, level / 2) * np.sqrt(variance)
        for variance, freedom in parts
        if freedom >= 1
    )
    return functools.reduce(np.hypot, ends)
