"""The losses of an isoFLOP study against the size, and what their curves have in common.

For a loss E + A N^-a + B D^-b and a compute of 6 N D, the curve of a budget in x = log(N) is
``bend * (u^2 + skew * u^3 + ...)`` about its minimum, u = x - x*, with a skew of (b - a) / 3 for
every budget. A parabola without it is off by more than the noise of the seeds where losses are
precise: five sizes that span a factor of 16, a - b = 0.06, and the minimum is off by 1.4 %. So all
budgets share one skew. It acts as one observation of zero with the standard deviation of exponents
that differ by 0.1 (Hoffmann et al. 2022, arXiv:2203.15556: 0.34 and 0.28; Besiroglu et al. 2024,
arXiv:2404.10102: 0.35 and 0.37): where the losses tell the skew this vanishes, and where they do
not, it remains as uncertain as that.

What mean losses are off the curves in excess of the noise of the seeds is misfit, pooled over
budgets (Paule and Mandel 1982, J. Res. Natl. Bur. Stand. 87(5)), where an F test shows it at the
level 0.1: an excess that noise often shows would widen every interval. With one seed it is the only
noise that can be seen, and holds both, equal for all budgets. Where the noise falls by a factor of
three to the largest budget, the 90% interval of the best size for one budget then covers 87%.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize, special

from lmlab.study.ladders.parabola import Array, Parabola, fit_parabola

_MISFIT_LEVEL = 0.1
_SKEW_SD = 0.1 / 3
_MAX_SKEW = 0.2  # exponents that differ by 0.6
_REFITS = 4  # of the minimum and bend that a cubic term is about


@dataclasses.dataclass(frozen=True)
class Budget:
    """Runs of several sizes with the same compute.

    Attributes:
        flops: training compute of every run.
        parameters: of each size, ascending; three sizes or more.
        tokens: training tokens of each size, descending.
        losses: for each size, the final losses by seed, in nats per token.

    Raises:
        ValueError: if sizes are fewer than three, not ascending, or without a finite loss.
    """

    flops: float
    parameters: Sequence[float]
    tokens: Sequence[float]
    losses: Sequence[Mapping[int, float]]

    def __post_init__(self) -> None:
        where = f"a budget of {self.flops:.3g} FLOPs"
        sizes, tokens = np.asarray(self.parameters, float), np.asarray(self.tokens, float)
        if len(sizes) < 3 or not (len(sizes) == len(tokens) == len(self.losses)):
            raise ValueError(f"{where}: expected three sizes or more, each with tokens and losses")
        if not (np.diff(sizes) > 0).all() or not (np.diff(tokens) < 0).all() or sizes[0] <= 0:
            raise ValueError(f"{where}: expected growing sizes on fewer and fewer tokens")
        values = [loss for row in self.losses for loss in row.values()]
        if not all(self.losses) or not np.isfinite(values).all() or tokens[-1] <= 0:
            raise ValueError(f"{where}: expected a finite loss of every size")

    @functools.cached_property
    def means(self) -> Array:
        """Mean loss of each size, of shape (sizes,)."""
        return np.array([np.mean(list(row.values())) for row in self.losses])

    @functools.cached_property
    def seeds(self) -> Array:
        """Number of seeds of each size, of shape (sizes,)."""
        return np.array([float(len(row)) for row in self.losses])

    @functools.cached_property
    def has_same_seeds(self) -> bool:
        """Whether all sizes have the same two seeds or more."""
        first = set(self.losses[0])
        return len(first) >= 2 and all(set(row) == first for row in self.losses)

    @functools.cached_property
    def noise(self) -> tuple[float, int]:
        """Variance of one run beside what its seed adds to all sizes, and degrees of freedom.

        The latter part is known only where all sizes have the same seeds. The degrees of freedom
        are 0 where no size has two.
        """
        if self.has_same_seeds:
            values = np.array([[row[seed] for seed in self.losses[0]] for row in self.losses])
            rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
            freedom = (values.shape[0] - 1) * (values.shape[1] - 1)
            return float((rest**2).sum()) / freedom, freedom
        freedom = int(self.seeds.sum()) - len(self.seeds)
        rows = [np.array(list(row.values())) for row in self.losses]
        squares = sum(float(((row - row.mean()) ** 2).sum()) for row in rows)
        return (squares / freedom, freedom) if freedom else (0.0, 0)

    @functools.cached_property
    def parabola(self) -> Parabola:
        """The parabola through the mean losses in log(parameters), weighted by seeds."""
        return fit_parabola(np.log(np.asarray(self.parameters, float)), self.means, self.seeds)

    def log_tokens(self, log_parameters: float) -> float:
        """Return the log of the tokens of a size, by straight lines between and beyond sizes."""
        x, y = self.parabola.x, np.log(np.asarray(self.tokens, float))
        at = int(np.clip(np.searchsorted(x, log_parameters), 1, len(x) - 1))
        slope = (y[at] - y[at - 1]) / (x[at] - x[at - 1])
        return float(y[at - 1] + slope * (log_parameters - x[at - 1]))


@dataclasses.dataclass(frozen=True)
class Curves:
    """What the curves of all budgets have in common.

    Attributes:
        skew: coefficient of the cube about the minimum over that of the square.
        skew_error: its standard error.
        misfit: variance of a mean loss about its curve beside the noise of seeds, in nats squared;
            0 where noise explains the residuals.
        freedom: degrees of freedom of the misfit.
        misfit_p: p-value of a misfit; NaN without two seeds anywhere, or with three sizes
            everywhere.
    """

    skew: float
    skew_error: float
    misfit: float
    freedom: float
    misfit_p: float


def skewed_curve(budget: Budget, skew: float) -> Parabola:
    """Return the parabola through the mean losses of a budget less the cube about its minimum."""
    curve, y = budget.parabola, budget.means
    u = curve.x - curve.centre
    for _ in range(_REFITS if skew else 0):
        _, slope, bend = curve.combinations @ y
        at = -slope / (2 * bend) if bend > 0 else math.inf
        if not u[0] <= at <= u[-1]:
            break
        y = budget.means - skew * bend * (u - at) ** 3
    return dataclasses.replace(curve, y=y)


def fit_curves(budgets: Sequence[Budget]) -> Curves:
    """Fit the skew and the misfit of all budgets.

    Raises:
        ValueError: if there is neither a second seed nor a fourth size, so that nothing tells the
            noise.
    """
    sizes, freedom = sum(len(b.seeds) for b in budgets), sum(len(b.seeds) - 3 for b in budgets)
    if not freedom and not any(budget.noise[1] for budget in budgets):
        raise ValueError("isoFLOP: expected four sizes or two seeds, which tell the noise")
    found = _with_misfit(budgets, Curves(0.0, _SKEW_SD, 0.0, float(freedom), math.nan))
    for _ in range(3 if sizes > 3 * len(budgets) else 0):
        skew, error = _fit_skew(budgets, found.misfit)
        told = 1 - (error / _SKEW_SD) ** 2
        rest = max(freedom - told, 0.5)
        found = _with_misfit(budgets, Curves(skew, error, 0.0, rest, math.nan))
    return found


def _variances(budgets: Sequence[Budget]) -> list[Array]:
    """Variances of the mean losses by the noise of seeds, of shape (sizes,) for each budget.

    The noise is a smooth one: a straight line of its log variance in the log compute, corrected for
    the mean of the logarithm of a chi-squared variable (Smyth 2004, Stat. Appl. Genet. Mol. Biol.
    3(1), section 6). Residuals that are divided by the few values of their own budget would often
    look too large. It serves as weight and for the test of a misfit, and is zero without two seeds.
    """
    known = [budget for budget in budgets if budget.noise[1] and budget.noise[0] > 0]
    if not known:
        return [1e-16 / budget.seeds for budget in budgets]
    freedom = np.array([float(budget.noise[1]) for budget in known])
    log_variance = np.log([budget.noise[0] for budget in known])
    log_variance += np.log(freedom / 2) - special.digamma(freedom / 2)
    x = np.log([budget.flops for budget in known])
    degree = 1 if len(known) > 1 else 0
    line = np.polyfit(x - x[0], log_variance, degree, w=np.sqrt(freedom))
    at = np.log([budget.flops for budget in budgets]) - x[0]
    smooth = np.exp(np.polyval(line, at))
    return [one / budget.seeds + 1e-16 for one, budget in zip(smooth, budgets, strict=True)]


def _squares(budgets: Sequence[Budget], skew: float) -> list[Array]:
    return [skewed_curve(budget, skew).residuals() ** 2 for budget in budgets]


def _fit_skew(budgets: Sequence[Budget], misfit: float) -> tuple[float, float]:
    """Return the skew of the smallest weighted sum of squares, and its standard error."""
    inside = [budget for budget in budgets if budget.parabola.is_inside]
    if not inside:
        return 0.0, _SKEW_SD
    variances = [one + misfit for one in _variances(inside)]

    def objective(skew: float) -> float:
        pairs = zip(_squares(inside, skew), variances, strict=True)
        return sum(float((one / var).sum()) for one, var in pairs) + (skew / _SKEW_SD) ** 2

    found = optimize.minimize_scalar(
        objective, bounds=(-_MAX_SKEW, _MAX_SKEW), method="bounded", options={"xatol": 5e-4}
    )
    skew, step = float(found.x), 5e-3
    second = (objective(skew + step) + objective(skew - step) - 2 * objective(skew)) / step**2
    return skew, min(math.sqrt(2 / second), _SKEW_SD) if second > 0 else _SKEW_SD


def _with_misfit(budgets: Sequence[Budget], curves: Curves) -> Curves:
    """Return curves with the misfit about them."""
    squares, variances = _squares(budgets, curves.skew), _variances(budgets)
    of_noise = sum(budget.noise[1] for budget in budgets)
    if not of_noise:
        total = sum(float(one.sum()) for one in squares)
        return dataclasses.replace(curves, misfit=total / curves.freedom)
    if not curves.freedom:
        return curves

    def surplus(extra: float) -> float:
        pairs = zip(squares, variances, strict=True)
        return sum(float((one / (var + extra)).sum()) for one, var in pairs) - curves.freedom

    p = float(special.fdtrc(curves.freedom, of_noise, surplus(0.0) / curves.freedom + 1))
    if p >= _MISFIT_LEVEL:
        return dataclasses.replace(curves, misfit_p=p)
    highest = sum(float(one.sum()) for one in squares) / curves.freedom + max(
        map(np.max, variances)
    )
    return dataclasses.replace(
        curves, misfit=float(optimize.brentq(surplus, 0.0, highest)), misfit_p=p
    )
