"""The compute-equivalent gain of an arm at each rung, with intervals by inversion of a t test.

The gain G is how many times the baseline's cost would be needed for the arm's loss. It is read
between rungs, never beyond them. A point of a curve between two rungs is interpolated so that
log(L - E) is linear in log C, as a power law is; between rungs this depends little on E. Where the
rungs show another curve than a power law, so may the points between them: the interval carries what
a corner there, as large as those at the rungs, would change. At rung k, g = log G is measured

- downward, where that stays inside the ladder: if the arm is better, its own curve reaches the
  baseline's loss of rung k at a lower cost C', and G = C_k / C'; if it is worse, the baseline's
  curve reaches the arm's loss at a lower cost C', and G = C' / C_k;
- upward otherwise, as at the lowest rung: the worse of the two reaches, at a higher cost, the
  loss that the better one has at rung k.

Every value of g states an equality between an interpolated loss and a mean loss. Their difference
is, to first order, a linear combination of mean losses over seeds, so that a t test of the equality
rests on the observed spread (:meth:`lmlab.study.ladders.ladder_losses.LadderLosses.error`). The
interval is the set of all g that this test does not reject (Fieller 1954, J. R. Stat. Soc. B 16(2),
for a ratio of two means): it is right for a curve whose slope is uncertain too, and is unbounded
where the ladder has no end for it. For g = 0 the test is the paired t test of the losses of the
rung.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from lmlab.study.ladders.ladder_losses import Array, LadderLosses, t_quantile
from lmlab.study.ladders.scaling_fit import ScalingFit

_POINTS = 49  # per side of a path, twice: first the whole, then the step with the crossing
_ARM, _BASE = 0, 1
# Nats per unit of log cost: no number of seeds tells a curve that falls more slowly from a flat
# one.
_FLATTEST = 1e-9
_LARGEST_LOG = 700.0  # its exponential is close to the largest float


@dataclasses.dataclass(frozen=True)
class Gain:
    """The gain at one rung.

    Attributes:
        rung: index of the rung, from the lowest.
        log_gain: g, the natural log of the gain; NaN where no rung is far enough to read it.
        low: lower end of the interval of g; -inf where the ladder does not bound it.
        high: upper end of the interval of g; inf where the ladder does not bound it.
        bound: ``at least`` or ``at most`` where ``log_gain`` is NaN, for ``bound_log_gain``.
        bound_log_gain: the g at the end of the ladder that the gain is beyond; NaN without bound.
        direction: ``down`` or ``up``: where the curve is read from the rung.
        influence: change of g per change of each mean loss, of shape (2, rungs): arm, baseline.
        range_error: standard deviation of g by what the losses do not tell of E.
        misfit_error: standard deviation of g by what lies between rungs if the curves are as far
            from power laws as their rungs show; 0 where seed noise explains that. The interval
            carries it.
    """

    rung: int
    log_gain: float
    low: float
    high: float
    bound: str
    bound_log_gain: float
    direction: str
    influence: Array
    range_error: float
    misfit_error: float

    @property
    def gain(self) -> float:
        """The gain G; NaN where there is only a bound."""
        return as_factor(self.log_gain)

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of G; 0 and inf where the ladder does not bound it."""
        return as_factor(self.low), as_factor(self.high) if self.high < math.inf else math.inf


def as_factor(log_factor: float) -> float:
    """Return the exponential; the largest power that a float holds, where that exceeds one.

    Where a curve is almost flat, logarithms of gains are as uncertain as that.
    """
    return math.exp(min(log_factor, _LARGEST_LOG))


def compute_gains(pair: LadderLosses, fit: ScalingFit, level: float = 0.1) -> list[Gain]:
    """Return the gain of an arm over the baseline at every rung.

    Args:
        pair: the losses of arm and baseline, in this order.
        fit: their power laws, whose asymptote bends the interpolated curves.
        level: probability that an interval misses the true value.
    """
    return [_gain(pair, fit, rung, level) for rung in range(pair.num_rungs)]


def _gain(pair: LadderLosses, fit: ScalingFit, rung: int, level: float) -> Gain:
    paths = {"down": _Path(pair, fit, rung, -1), "up": _Path(pair, fit, rung, +1)}
    crossing = {name: path.root(0.0, level) for name, path in paths.items()}
    direction = next((name for name, g in crossing.items() if math.isfinite(g)), "")
    if not direction:  # the path that reaches further has the stronger bound
        sign = 1 if pair.mean[_ARM, rung] < pair.mean[_BASE, rung] else -1
        direction = max(paths, key=lambda name: sign * paths[name].ends[(sign + 1) // 2])
    path, g = paths[direction], crossing[direction]
    low, high = path.root(+1.0, level), path.root(-1.0, level)
    if math.isfinite(g):
        influence, range_error, misfit = path.influence(g)
        return Gain(rung, g, low, high, "", math.nan, direction, influence, range_error, misfit)
    bound, end = ("at least", path.ends[1]) if sign > 0 else ("at most", path.ends[0])
    nothing = np.full((2, pair.num_rungs), math.nan)
    return Gain(rung, math.nan, low, high, bound, end, direction, nothing, math.nan, math.nan)


class _Path:
    """The equalities that values of g state at one rung, read in one direction.

    Args:
        pair: arm and baseline, in this order.
        fit: their power laws.
        rung: index of the rung.
        direction: -1 to read curves at lower costs than those of the rung, +1 at higher ones.
    """

    def __init__(self, pair: LadderLosses, fit: ScalingFit, rung: int, direction: int) -> None:
        self._pair, self._fit, self._rung, self._direction = pair, fit, rung, direction
        x = pair.log_cost
        # Here both curves are read at the rung itself.
        self._start = float(x[_BASE, rung] - x[_ARM, rung])
        edge = 0 if direction < 0 else -1
        arm_end, base_end = x[_BASE, rung] - x[_ARM, edge], x[_BASE, edge] - x[_ARM, rung]
        self.ends = (float(min(arm_end, base_end)), float(max(arm_end, base_end)))

    def contrast(self, g: Array) -> tuple[Array, Array, Array, Array]:
        """Return arm's loss minus baseline's where a gain of g makes them equal; it grows with g.

        Args:
            g: of shape (points,), within :attr:`ends`.

        Returns:
            Contrasts in nats, of shape (points,); their weights of the mean losses, of shape
            (points, 2, rungs), with the influence of the losses through E; their derivatives by E,
            and their standard deviations by misfit, each of shape (points,).
        """
        pair, rung = self._pair, self._rung
        reads_arm = (g > self._start) == (self._direction < 0)
        x = pair.log_cost
        where = np.where(reads_arm, x[_BASE, rung] - g, x[_ARM, rung] + g)
        arm_loss, arm_weights, arm_slope, arm_bend = self._read(_ARM, where)
        base_loss, base_weights, base_slope, base_bend = self._read(_BASE, where)
        value = np.where(
            reads_arm, arm_loss - pair.mean[_BASE, rung], pair.mean[_ARM, rung] - base_loss
        )
        slope = np.where(reads_arm, arm_slope, -base_slope)
        total = np.zeros((len(g), 2, pair.num_rungs))
        total[:, _ARM] = np.where(reads_arm[:, None], arm_weights, 0.0)
        total[:, _BASE] = np.where(reads_arm[:, None], 0.0, -base_weights)
        total[reads_arm, _BASE, rung] -= 1
        total[~reads_arm, _ARM, rung] += 1
        misfit = self._fit.kink * np.where(reads_arm, arm_bend, base_bend)
        return value, total + slope[:, None, None] * self._fit.influence, slope, misfit

    def _read(self, curve: int, where: Array) -> tuple[Array, Array, Array, Array]:
        pair = self._pair
        return _interpolate(pair.log_cost[curve], pair.mean[curve], self._fit.asymptote, where)

    def root(self, shift: float, level: float) -> float:
        """Return the g at which contrast + shift * t * error vanishes.

        Args:
            shift: 0 for the estimate, 1 for the lower end of the interval, -1 for the upper one.
            level: level of the t quantile.

        Returns:
            The first such g for the lower end, the last for the upper one, the one nearest to the
            rung for the estimate; -inf or inf where it lies beyond the path.
        """

        def bounded(g: Array) -> Array:
            value, weights, slope, misfit = self.contrast(g)
            if not shift:
                return value
            known = (slope * self._fit.range_error) ** 2 + misfit**2
            error, freedom = self._pair.error(weights, known)
            return value + shift * t_quantile(level, freedom) * error

        low, high = self.ends
        grid = np.unique(
            np.concatenate(
                [np.linspace(low, self._start, _POINTS), np.linspace(self._start, high, _POINTS)]
            )
        )
        values = bounded(grid)
        rises = np.flatnonzero((values[:-1] <= 0) & (values[1:] >= 0))
        if not shift:  # curves that do not fall may cross on the other arm's side as well
            is_better = values[np.searchsorted(grid, self._start)] < 0
            rises = rises[(grid[rises] >= self._start) == is_better]
            if not len(rises):
                return math.inf if is_better else -math.inf
        if shift > 0 and values[0] > 0:
            return -math.inf
        if shift < 0 and values[-1] < 0:
            return math.inf
        if not len(rises):
            # An end of the interval beyond the path lies, as far as the ladder tells, at its end.
            return high if values[0] < 0 else low
        order = {1.0: 0, -1.0: -1}.get(shift)
        if order is None:
            order = int(np.argmin(np.abs(grid[rises] + grid[rises + 1] - 2 * self._start)))
        at = rises[order]
        fine = np.linspace(grid[at], grid[at + 1], _POINTS)
        values = bounded(fine)
        at = int(np.flatnonzero((values[:-1] <= 0) & (values[1:] >= 0))[0])
        rise = values[at + 1] - values[at]
        share = -values[at] / rise if rise > 0 else 0.5
        return float(fine[at] + share * (fine[at + 1] - fine[at]))

    def influence(self, g: float) -> tuple[Array, float, float]:
        """Return the influence of the mean losses on g, and its errors by E and by misfit."""
        step = 1e-4 * (self.ends[1] - self.ends[0])
        points = np.clip([g - step, g + step, g], *self.ends)
        value, weights, slope, misfit = self.contrast(points)
        rise = max(float(value[1] - value[0]) / float(points[1] - points[0]), _FLATTEST)
        range_error = abs(float(slope[2])) * self._fit.range_error
        return -weights[2] / rise, range_error / rise, float(misfit[2]) / rise


def _interpolate(
    log_cost: Array, means: Array, asymptote: float, where: Array
) -> tuple[Array, Array, Array, Array]:
    """Interpolate the losses of one arm, with log(L - E) linear in the log cost.

    Args:
        log_cost: of shape (rungs,), increasing.
        means: mean losses, of shape (rungs,).
        asymptote: E.
        where: log costs, of shape (points,); those outside are read at the nearest rung.

    Returns:
        Losses of shape (points,), their derivatives by the means, of shape (points, rungs), and by
        E, of shape (points,), and their change, of shape (points,), for a line of log(L - E) whose
        slope changes by one just there, as at the corner of a broken line through both rungs.
    """
    upper = np.clip(np.searchsorted(log_cost, where), 1, len(log_cost) - 1)
    lower = upper - 1
    share = (log_cost[upper] - where) / (log_cost[upper] - log_cost[lower])
    share = np.clip(share, 0.0, 1.0)
    above = means - asymptote
    height = above[lower] ** share * above[upper] ** (1 - share)
    weights = np.zeros((len(where), len(means)))
    rows = np.arange(len(where))
    weights[rows, lower] = share * height / above[lower]
    weights[rows, upper] = (1 - share) * height / above[upper]
    bend = height * share * (1 - share) * (log_cost[upper] - log_cost[lower])
    return asymptote + height, weights, 1 - weights.sum(1), bend
