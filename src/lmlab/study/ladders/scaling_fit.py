"""Power laws of the loss in the cost, L(C) = E + A C^-a, with the uncertainty of the asymptote E.

Hoffmann et al. (2022, arXiv:2203.15556, section 3.3) fit their law by minimizing a Huber loss of
residuals of log L with L-BFGS from a grid of starting points. Besiroglu et al. (2024,
arXiv:2404.10102) could not reproduce it: the optimizer had stopped early, and the published
intervals were narrower than 600,000 runs would make them. What is kept, and what is done
differently here:

- Residuals of log L are robust by Huber's weights (1964, Ann. Math. Statist. 35(1)), because one
  seed that went astray must not bend a curve of four points. They are divided by the noise of the
  rung, which falls several times over from the lowest rung to the highest; Hoffmann's constant of
  0.001 for all runs would ignore the noise of some rungs and trust that of others. They are taken
  from the median of the rung instead of the curve: a whole rung off the curve is misfit, and
  downweighting one rung of four would hide it.
- For a given E, the law is a straight line in log(L - E) against log C, and weighted least squares
  has a closed form (variable projection: Golub and Pereyra 1973, SIAM J. Numer. Anal. 10(2)). Only
  E is searched, on a grid and then in the valley found, so that no starting point and no stopping
  rule can decide the result.
- E is nearly unidentified on a short ladder. Its profile is therefore combined with its range: at
  least ``floor``, and below the lowest loss. The range acts as one observation of its middle whose
  standard deviation is half of its width. Where the losses tell E, this vanishes; where they
  do not, E remains as uncertain as its range.
- No interval rests on the curvature of the objective alone: the influence of each mean loss on E is
  computed, so that errors are propagated from the observed spread over seeds.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import optimize, special

from lmlab.study.ladders.ladder_losses import Array, LadderLosses

_HUBER = 1.345  # 95 % efficient for normal noise (Holland and Welsch 1977)
_KINK_LEVEL = 0.1  # of the test whether exponents change from step to step
_GRID = 1 - np.geomspace(1, 0.03, 60)  # shares of the range of E; dense near the lowest loss


@dataclasses.dataclass(frozen=True)
class ScalingFit:
    """Fitted power laws of arms that share the asymptote.

    Attributes:
        asymptote: E, in nats per token.
        log_amplitude: log A of each arm, of shape (arms,); A in nats for costs in their own unit.
        exponent: a of each arm, of shape (arms,).
        influence: change of E per change of each mean loss, of shape (arms, rungs).
        range_error: standard deviation of the part of E that the losses do not tell, in nats.
        weights: weights of the mean losses in the fit, of shape (arms, rungs); 1 / nats^2.
        variance: expected variance of the mean losses by noise and learning rate, of shape
            (arms, rungs), in nats^2.
        means: robust mean losses that were fitted, of shape (arms, rungs).
        kink: of :func:`kink_sd`.
    """

    asymptote: float
    log_amplitude: Array
    exponent: Array
    influence: Array
    range_error: float
    weights: Array
    variance: Array
    means: Array
    kink: float = 0.0

    def loss(self, arm: int, log_cost: Array | float) -> Array:
        """Return the fitted loss of an arm at a natural log of cost, in nats per token."""
        return self.asymptote + np.exp(
            self.log_amplitude[arm] - self.exponent[arm] * np.asarray(log_cost)
        )

    def residuals(self, ladder: LadderLosses) -> Array:
        """Return mean loss minus fitted loss, of shape (arms, rungs)."""
        fitted = [self.loss(arm, x) for arm, x in enumerate(ladder.log_cost)]
        return ladder.mean - np.array(fitted)


def fit_scaling(ladder: LadderLosses) -> ScalingFit:
    """Fit power laws with a shared asymptote to all arms of a ladder, or to the only one.

    Two rungs do not determine a power law of three constants, and E is the middle of its range
    then.

    Args:
        ladder: two rungs or more.
    """
    noise = ladder.smooth_sd(ladder.log_cost)  # of one run
    variance = noise**2 / ladder.seeds + ladder.rate_var + (1e-7 * ladder.mean) ** 2
    means, efficiency = _robust_means(ladder, noise)
    weights = efficiency / variance
    gap = 0.02 * np.ptp(means) + 1e-6 * means.max()
    high = min(means.min(), ladder.mean.min()) - gap
    low = min(ladder.floor, high - 1e-3)
    asymptote = _best_asymptote(ladder.log_cost, means, weights, low, high)
    squares, _, _ = _profile(ladder.log_cost, means, weights, np.array([asymptote]))
    freedom = means.size - 2 * len(means) - 1
    if freedom > 0:  # misfit makes E less certain than noise alone (Birge 1932)
        weights = weights / max(1.0, float(squares[0]) / freedom)
    # Noise that arms share by their seeds moves E as a whole (Kish 1965: the design effect).
    weights = weights / (1 + (len(means) - 1) * ladder.correlation)
    asymptote = _best_asymptote(ladder.log_cost, means, weights, low, high)
    _, intercept, slope = _profile(ladder.log_cost, means, weights, np.array([asymptote]))
    influence, share = _influence(ladder.log_cost, means, weights, asymptote, low, high)
    fit = ScalingFit(
        asymptote, intercept[0], -slope[0], influence, (1 - share) * (high - low) / 2, weights,
        variance, means,
    )  # fmt: skip
    return dataclasses.replace(fit, kink=kink_sd(ladder, fit))


def fit_each(ladder: LadderLosses) -> dict[str, ScalingFit]:
    """Fit every arm with an asymptote of its own."""
    return {arm: fit_scaling(ladder.only(arm)) for arm in ladder.arms}


def misfit_sd(ladder: LadderLosses, fit: ScalingFit) -> float:
    """Return the standard deviation between rungs that seed noise does not explain, in nats.

    Returns:
        0 where residuals are no larger than seed noise and learning rates explain; NaN where rungs
        are too few to tell. See :func:`_excess`.
    """
    arms, rungs = ladder.mean.shape
    freedom = arms * (rungs - 2) - 1
    return _excess(fit.residuals(ladder) ** 2, fit.variance, freedom)


def kink_sd(ladder: LadderLosses, fit: ScalingFit) -> float:
    """Return by how much exponents change from one step between rungs to the next, beyond noise.

    A power law has one exponent, so its line in log(L - E) has the same slope at every step. What
    the slopes differ by in excess of noise bounds the error of interpolating between rungs.

    Returns:
        Standard deviation of the change of slope; 0 for two rungs, or where noise explains it.
    """
    arms, rungs = ladder.mean.shape
    if rungs < 3:
        return 0.0
    above, steps = ladder.mean - fit.asymptote, np.diff(ladder.log_cost)
    changes = np.diff(np.diff(np.log(above)) / steps)
    weights = np.zeros((arms, rungs - 2, arms, rungs))
    for arm in range(arms):
        for rung in range(rungs - 2):
            left, right = 1 / steps[arm, rung], 1 / steps[arm, rung + 1]
            weights[arm, rung, arm, rung : rung + 3] = left, -left - right, right
        weights[arm, :, arm] /= above[arm]
    freedom = max(arms * (rungs - 2) - 1, 1)
    if _noise_explains(ladder, changes.ravel(), weights.reshape(-1, arms, rungs), freedom):
        return 0.0
    squares, variance = changes**2, ladder.expected_error(weights) ** 2 + 1e-14
    return _excess(squares, variance, freedom)


def _noise_explains(ladder: LadderLosses, changes: Array, weights: Array, freedom: int) -> bool:
    """Return whether changes of slope are no larger than noise often makes them.

    An excess that noise often shows would widen the intervals of every ladder. Changes that share
    a rung are correlated, so their sum of squares is that of generalized least squares; the noise
    is itself an estimate, so it is tested by the F distribution.

    Args:
        ladder: the losses.
        changes: of shape (changes,).
        weights: of the mean losses in each change, of shape (changes, arms, rungs).
        freedom: number of changes, less one for the asymptote.
    """
    covariance = ladder.expected_covariance(weights) + 1e-14 * np.eye(len(changes))
    statistic = float(changes @ np.linalg.solve(covariance, changes)) / freedom
    of_noise = float(ladder.smooth_freedom(ladder.log_cost.mean(1)).sum())
    return statistic < special.fdtri(freedom, of_noise, 1 - _KINK_LEVEL)


def _excess(squares: Array, variance: Array, freedom: int) -> float:
    """Return the standard deviation that squares show in excess of their known variances.

    It makes the weighted sum of squares equal to its degrees of freedom (Paule and Mandel 1982, J.
    Res. Natl. Bur. Stand. 87(5)); 0 where that is no larger without it.
    """
    if freedom < 1:
        return float("nan")

    def surplus(extra: float) -> float:
        return float((squares / (variance + extra)).sum() - freedom)

    if surplus(0.0) <= 0:
        return 0.0
    return float(np.sqrt(optimize.brentq(surplus, 0.0, squares.sum() + variance.max())))


def _profile(
    log_cost: Array, means: Array, weights: Array, asymptotes: Array
) -> tuple[Array, Array, Array]:
    """Fit straight lines to log(means - E) for each E.

    Args:
        log_cost: of shape (arms, rungs).
        means: of shape (..., arms, rungs).
        weights: of shape (arms, rungs), in 1 / nats^2.
        asymptotes: values of E of shape (...).

    Returns:
        Weighted sum of squared residuals, of shape (...); intercepts and slopes of the lines,
        each of shape (..., arms).
    """
    above = means - asymptotes[..., None, None]
    y, w = np.log(above), weights * above**2  # a residual of the logarithm counts in nats
    total = w.sum(-1)
    x_mean, y_mean = (w * log_cost).sum(-1) / total, (w * y).sum(-1) / total
    x, y = log_cost - x_mean[..., None], y - y_mean[..., None]
    slope = (w * x * y).sum(-1) / (w * x * x).sum(-1)
    squares = (w * (y - slope[..., None] * x) ** 2).sum((-2, -1))
    return squares, y_mean - slope * x_mean, slope


def _objective(
    log_cost: Array, means: Array, weights: Array, asymptotes: Array, low: float, high: float
) -> Array:
    """Sum of squares of each E, with the range of E as one more observation."""
    squares, _, _ = _profile(log_cost, means, weights, asymptotes)
    return squares + ((asymptotes - (low + high) / 2) / ((high - low) / 2)) ** 2


def _best_asymptote(
    log_cost: Array, means: Array, weights: Array, low: float, high: float
) -> float:
    """Return the E of the smallest objective: by a grid, and then finer ones about its best."""
    grid = low + (high - low) * _GRID
    for _ in range(5):
        best = int(np.argmin(_objective(log_cost, means, weights, grid, low, high)))
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 25)
    best = int(np.argmin(_objective(log_cost, means, weights, grid, low, high)))
    return float(grid[best])


def _influence(
    log_cost: Array, means: Array, weights: Array, asymptote: float, low: float, high: float
) -> tuple[Array, float]:
    """Return the influence of each mean loss on E, and the share of E that the losses tell.

    By the implicit function theorem, dE/dL = -(d2Q/dE dL) / (d2Q/dE2) for the objective Q.

    Returns:
        Influences of shape (arms, rungs); 0 to 1 for E wholly told by the range or the losses.
    """
    step = 1e-3 * (means.min() - asymptote)
    count = means.size
    shifts = step * np.eye(count).reshape(count, *means.shape)
    points = np.concatenate([means + shifts, means - shifts, means[None]])  # (2 count + 1, ...)
    values = asymptote + step * np.array([1.0, -1.0, 0.0])
    squares, _, _ = _profile(log_cost, points[:, None], weights, np.tile(values, (len(points), 1)))
    gradient = (squares[:, 0] - squares[:, 1]) / (2 * step)
    mixed = (gradient[:count] - gradient[count:-1]) / (2 * step)
    second = max(float(squares[-1, 0] + squares[-1, 1] - 2 * squares[-1, 2]) / step**2, 0.0)
    from_range = 2 / ((high - low) / 2) ** 2
    return (-mixed / (second + from_range)).reshape(means.shape), second / (second + from_range)


def _robust_means(ladder: LadderLosses, noise: Array) -> tuple[Array, Array]:
    """Return Huber's one-step means of the seeds, and the means of his weights.

    Args:
        ladder: the losses.
        noise: standard deviations of one run, of shape (arms, rungs).

    Returns:
        Robust means in nats and mean weights of at most 1, each of shape (arms, rungs).
    """
    means, efficiency = np.empty_like(noise), np.empty_like(noise)
    for arm, rows in enumerate(ladder.losses.values()):
        for rung, row in enumerate(rows):
            values = np.array(list(row.values()))
            middle = np.median(values)
            bound = _HUBER * max(noise[arm, rung] / middle, 1e-9)
            weight = bound / np.maximum(np.abs(np.log(values / middle)), bound)
            means[arm, rung] = (weight * values).sum() / weight.sum()
            efficiency[arm, rung] = weight.mean()
    return means, efficiency
