"""The shape of the loss around its lowest point in log(rate), from the losses at a few rates.

A search takes the vertex of a parabola for the best rate. Where the loss is gentle below the
minimum and steep above it, the two differ, and the runs that judge the arm are worse than they had
to be. The skew of the losses tells by how much.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Collection, Mapping, Sequence

# Reasons to doubt that the vertex of the parabola is the minimum.
ONE_SIDED, FEW_RATES, FLAT, ASYMMETRIC = "one-sided", "few rates", "flat", "asymmetric"
_MIN_RATES = 4  # to tell a cubic from a parabola
_NEAR = 2.5  # steps from the best rate; rates farther away say little about the skew there
# The excess loss that matters, in standard errors of the mean loss at one rate. A steep wall costs
# up to ten times what the cubic suggests.
_EXCESS_ERRORS = 0.1
_NORMAL = 1.4826  # standard deviation of normal noise by its median absolute deviation
_SIGNIFICANT = 2.0  # standard errors of the skew from which a basin is called asymmetric
_SHIFTED = 0.1  # steps by which the skew moves the vertex, from which it is called so


@dataclasses.dataclass(frozen=True)
class Basin:
    """The loss near its minimum, ``curvature * u^2 + skew * u^3``.

    ``u`` is the distance in log(rate), in steps between the rates of the fit.

    Attributes:
        error: standard error of the mean loss at one rate, without the shift that a seed causes at
            all rates alike; in the unit of the loss.
        curvature: of the parabola through the best rate and its neighbours; None if one is missing.
        skew: cubic coefficient of a least-squares fit to the rates within two steps of the best;
            None if they are too few.
        skew_error: standard error of the skew.
    """

    error: float
    curvature: float | None
    skew: float | None = None
    skew_error: float = 0.0

    @property
    def excess(self) -> float | None:
        """Loss at the vertex of the parabola above the minimum, to leading order in the skew.

        A cubic term moves the vertex of the parabola through -1, 0 and 1 by ``skew / (2
        curvature)`` steps. None where there is no parabola or no skew.
        """
        if self.curvature is None or self.curvature <= 0 or self.skew is None:
            return None
        return self.skew**2 / (4 * self.curvature)

    @property
    def is_asymmetric(self) -> bool:
        """Whether the skew is significant, and moves the vertex noticeably."""
        if self.curvature is None or self.skew is None:
            return False
        return self._is_significant and abs(self.skew) > 2 * _SHIFTED * self.curvature

    @property
    def _is_significant(self) -> bool:
        return self.skew is not None and abs(self.skew) > _SIGNIFICANT * self.skew_error

    def doubt(self, negligible: float) -> str:
        """Return why the vertex may miss the minimum; empty without a reason.

        Args:
            negligible: excess loss that never matters.
        """
        if self.curvature is None:
            return ONE_SIDED
        if self.curvature <= 0:
            return FLAT
        if self.excess is None:
            return FEW_RATES
        is_excessive = self.excess > max(_EXCESS_ERRORS * self.error, negligible)
        return ASYMMETRIC if is_excessive and self._is_significant else ""


def measure_basin(
    losses: Mapping[float, Mapping[int, float]],
    means: Mapping[float, float],
    best: float,
    seeds: Collection[int],
    expected_sd: float,
) -> Basin:
    """Return the shape of the loss around a rate.

    Args:
        losses: final losses by rate and seed; some seeds may not have tried all rates.
        means: mean losses of the same rates over the tuning seeds.
        best: the rate with the lowest mean.
        seeds: the tuning seeds.
        expected_sd: standard deviation over seeds to assume where there is only one.
    """
    noise = _noise(losses, seeds)
    number = sum(seed in losses[best] for seed in seeds)
    error = (expected_sd if noise is None else noise) / math.sqrt(number)
    below, above = neighbours(losses, best)
    if below is None or above is None:
        return Basin(error, None)
    step = math.log(above / below) / 2
    bend = _parabola(losses, means, best)[1] * step**2
    rates = sorted(rate for rate in losses if abs(math.log(rate / best)) < _NEAR * step)
    if len(rates) < _MIN_RATES:
        return Basin(error, bend)
    skew, scale = _cubic_coefficient(
        [math.log(rate / best) / step for rate in rates],
        [means[rate] for rate in rates],
        [number / sum(seed in losses[rate] for seed in seeds) for rate in rates],
    )
    return Basin(error, bend, skew, error * scale)


def _noise(losses: Mapping[float, Mapping[int, float]], seeds: Collection[int]) -> float | None:
    """Return the standard deviation of runs beside the effects of rate and seed, which add up.

    It is the median absolute residual, scaled for few values of normal noise (Croux and Rousseeuw
    1992): close to the edge of stable training, the spread is many times what it is elsewhere. None
    with one seed, or fewer than two rates that all seeds tried.
    """
    rows = [
        [by_seed[seed] for seed in seeds]
        for by_seed in losses.values()
        if all(seed in by_seed for seed in seeds)
    ]
    if len(seeds) < 2 or len(rows) < 2:
        return None
    centered = [[loss - math.fsum(row) / len(row) for loss in row] for row in rows]
    residuals = []
    for column in zip(*centered, strict=True):
        shift = statistics.median(column)
        residuals += [abs(one - shift) for one in column]
    scale = _NORMAL * len(rows) / (len(rows) - 0.8)
    return scale * statistics.median(residuals) * math.sqrt(len(seeds) / (len(seeds) - 1))


def _cubic_coefficient(
    x: Sequence[float], y: Sequence[float], variances: Sequence[float]
) -> tuple[float, float]:
    """Return the cubic coefficient of a least-squares fit, and its error in units of that of ``y``.

    It is the projection of ``y`` on the part of x^3 that is orthogonal to 1, x and x^2.

    Args:
        x: distances in log(rate).
        y: losses.
        variances: of ``y``, relative to its largest number of seeds.
    """
    basis: list[list[float]] = []
    for degree in range(4):
        column = [one**degree for one in x]
        for other in basis:
            factor = _dot(column, other) / _dot(other, other)
            column = [one - factor * part for one, part in zip(column, other, strict=True)]
        basis.append(column)
    cubic = basis[-1]
    size = _dot(cubic, cubic)
    noise = _dot([one * variance for one, variance in zip(cubic, variances, strict=True)], cubic)
    return _dot(cubic, y) / size, math.sqrt(noise / size) / math.sqrt(size)


def _dot(x: Sequence[float], y: Sequence[float]) -> float:
    return math.fsum(one * other for one, other in zip(x, y, strict=True))


def neighbours(rates: Collection[float], best: float) -> tuple[float | None, float | None]:
    """Return the rates next to ``best`` on both sides; None where there is none."""
    below = max((rate for rate in rates if rate < best), default=None)
    return below, min((rate for rate in rates if rate > best), default=None)


def with_neighbours(rates: Collection[float], best: float) -> tuple[float, ...]:
    """Return ``best`` and the rates next to it, ascending."""
    below, above = neighbours(rates, best)
    return tuple(rate for rate in (below, best, above) if rate is not None)


def vertex(rates: Collection[float], means: Mapping[float, float], best: float) -> float:
    """Return the vertex of the parabola through ``best`` and its neighbours, clipped to them.

    ``best`` itself where it has no two neighbours, or the parabola has no minimum.
    """
    below, above = neighbours(rates, best)
    if below is None or above is None:
        return best
    slope, bend = _parabola(rates, means, best)
    if bend <= 0:
        return best
    left, right = math.log(below / best), math.log(above / best)
    return best * math.exp(min(max(-slope / (2 * bend), left), right))


def _parabola(
    rates: Collection[float], means: Mapping[float, float], best: float
) -> tuple[float, float]:
    """Return the coefficients of x and x^2, x = log(rate / best); ``best`` has two neighbours."""
    below, above = neighbours(rates, best)
    assert below is not None and above is not None
    left, right = math.log(below / best), math.log(above / best)
    rise_left = (means[below] - means[best]) / left
    rise_right = (means[above] - means[best]) / right
    bend = (rise_right - rise_left) / (right - left)
    return rise_right - bend * right, bend
