"""The losses of a ladder by arm, rung and seed, and the standard errors of what they add up to.

Every estimate of a ladder is, to first order, a linear combination of the mean losses of arms at
rungs. Its error is computed here, once for all of them: arms that share their seeds at a rung are
combined seed by seed, so that the noise that they share cancels; rungs are independent.

Degrees of freedom are those of :mod:`lmlab.study.ladders.effective_freedom`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from lmlab.study.ladders.effective_freedom import effective_freedom

Array = npt.NDArray[Any]

# Expected standard deviation of the log noise variance of arms: 0.5 is 28% in the noise.
_ARM_SPREAD = 0.5


@dataclasses.dataclass(frozen=True)
class LadderLosses:
    """Final losses of arms on the same rungs.

    Attributes:
        losses: for each arm, and for each rung from the lowest, the final losses by seed, in nats
            per token. Two seeds or more.
        cost: for each arm, what a run of each rung costs: training compute in FLOPs, or seconds.
            The unit cancels in gains and trends.
        rate_variance: for each arm, the variance of the mean loss of each rung that the choice of
            the learning rate adds, in nats squared; all seeds of a rung share it. Empty for none.
        floor: lower bound of the asymptote E, in nats per token: 0, or the known entropy of the
            text, which no model can be better than. It is a bound, not E.

    Raises:
        ValueError: if arms differ in their number of rungs, a rung has fewer than two seeds or a
            loss that is not above ``floor``, or costs do not increase from rung to rung.
    """

    losses: Mapping[str, Sequence[Mapping[int, float]]]
    cost: Mapping[str, Sequence[float]]
    rate_variance: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    floor: float = 0.0

    def __post_init__(self) -> None:
        rungs = {len(rows) for rows in self.losses.values()}
        if len(rungs) != 1 or min(rungs) < 2:
            raise ValueError(f"expected the same two rungs or more for all arms, received {rungs}")
        for arm, rows in self.losses.items():
            cost = np.asarray(self.cost[arm], float)
            if len(cost) != len(rows) or not (cost > 0).all() or not (np.diff(cost) > 0).all():
                raise ValueError(f"arm {arm}: expected positive, increasing costs: {cost}")
            if len(self.rate_variance.get(arm, rows)) != len(rows):
                raise ValueError(f"arm {arm}: expected a rate variance for each rung")
            for rung, row in enumerate(rows):
                values = np.array(list(row.values()), float)
                if len(values) < 2 or not np.isfinite(values).all():
                    raise ValueError(f"arm {arm}, rung {rung}: expected two finite losses or more")
                if values.mean() <= self.floor:
                    raise ValueError(f"arm {arm}, rung {rung}: expected a loss > {self.floor}")

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in order."""
        return tuple(self.losses)

    @property
    def num_rungs(self) -> int:
        """Number of rungs of every arm."""
        return len(next(iter(self.losses.values())))

    def pair(self, arm: str, baseline: str) -> LadderLosses:
        """Return the ladder of two arms; where they share two seeds or more, with those only."""
        rows: dict[str, list[Mapping[int, float]]] = {arm: [], baseline: []}
        for own, other in zip(self.losses[arm], self.losses[baseline], strict=True):
            shared = set(own) & set(other)
            keep_all = len(shared) < 2
            for name, row in ((arm, own), (baseline, other)):
                rows[name].append({s: v for s, v in row.items() if keep_all or s in shared})
        return dataclasses.replace(self, losses=rows)

    def only(self, arm: str) -> LadderLosses:
        """Return the ladder of one arm."""
        return dataclasses.replace(self, losses={arm: self.losses[arm]})

    def first(self, rungs: int) -> LadderLosses:
        """Return the ladder of the lowest ``rungs`` rungs."""
        return dataclasses.replace(
            self,
            losses={arm: rows[:rungs] for arm, rows in self.losses.items()},
            cost={arm: row[:rungs] for arm, row in self.cost.items()},
            rate_variance={arm: row[:rungs] for arm, row in self.rate_variance.items()},
        )

    @functools.cached_property
    def log_cost(self) -> Array:
        """Natural logarithms of the costs, of shape (arms, rungs)."""
        return np.log(np.array([self.cost[arm] for arm in self.arms], float))

    @functools.cached_property
    def mean(self) -> Array:
        """Mean losses over seeds, of shape (arms, rungs)."""
        return np.array(
            [[np.mean(list(r.values())) for r in rows] for rows in self.losses.values()]
        )

    @functools.cached_property
    def seeds(self) -> Array:
        """Number of seeds, of shape (arms, rungs)."""
        return np.array([[len(row) for row in rows] for rows in self.losses.values()])

    @functools.cached_property
    def sd(self) -> Array:
        """Sample standard deviations over seeds, of shape (arms, rungs)."""
        return np.array(
            [[np.std(list(row.values()), ddof=1) for row in rows] for rows in self.losses.values()]
        )

    @property
    def rises(self) -> list[tuple[str, int]]:
        """Steps at which a mean loss does not fall: arm, and index of the upper rung."""
        steps = np.argwhere(np.diff(self.mean, axis=1) >= 0)
        return [(self.arms[arm], int(step) + 1) for arm, step in steps]

    @functools.cached_property
    def rate_var(self) -> Array:
        """Variances that the learning rates add, of shape (arms, rungs)."""
        zeros = [0.0] * self.num_rungs
        return np.array([self.rate_variance.get(arm, zeros) for arm in self.arms], float)

    @functools.cached_property
    def _noise_line(self) -> tuple[Array, float, float]:
        """Log variance of one run: level of each arm at the middle log cost, slope, middle."""
        freedom, x = self.seeds - 1.0, self.log_cost
        tiny = (1e-12 * self.mean) ** 2  # runs without any spread
        log_var = np.log(self.sd**2 + tiny) - special.digamma(freedom / 2) + np.log(freedom / 2)
        by_arm = freedom.sum(1, keepdims=True)
        own_middle = (freedom * x).sum(1, keepdims=True) / by_arm
        own_level = (freedom * log_var).sum(1, keepdims=True) / by_arm
        away = x - own_middle
        slope = float((freedom * away * (log_var - own_level)).sum() / (freedom * away**2).sum())
        middle = float((freedom * x).sum() / freedom.sum())
        level = (own_level + slope * (middle - own_middle))[:, 0]
        # Few seeds tell little about the noise of an arm, and weights that follow what they seem to
        # tell make errors too small; so levels are shrunk towards their mean.
        unsure = ((freedom / by_arm) ** 2 * special.polygamma(1, freedom / 2)).sum(1)
        trust = _ARM_SPREAD**2 / (_ARM_SPREAD**2 + unsure)
        return trust * level + (1 - trust) * level.mean(), slope, middle

    def smooth_sd(self, log_cost: Array) -> Array:
        """Return the standard deviation of one run at given log costs, from a smooth curve.

        The logarithms of the variances of all rungs are fitted by straight lines in the log cost,
        one level for each arm and one slope for all. They are weighted by their degrees of freedom
        f, and corrected for the mean of the logarithm of a chi-squared variable over f, psi(f/2) -
        log(f/2) (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), section 6). The result serves as
        weight, for degrees of freedom and to plan; the width of no interval of a gain rests on it
        otherwise.

        Args:
            log_cost: natural logs of costs of each arm, of shape (arms, ...).

        Returns:
            Standard deviations in nats, of the same shape.
        """
        level, slope, middle = self._noise_line
        x = np.asarray(log_cost, float)
        return np.exp((level.reshape(-1, *[1] * (x.ndim - 1)) + slope * (x - middle)) / 2)

    def smooth_freedom(self, log_cost: Array) -> Array:
        """Return the degrees of freedom of :meth:`smooth_sd` at given log costs.

        They are those of a chi-squared variable whose logarithm has the variance of the fitted
        line, psi'(f/2) (Smyth 2004, section 6), by the first two terms of psi' for large f.

        Args:
            log_cost: natural logs of costs of each arm, of shape (arms,).
        """
        freedom, x = self.seeds - 1.0, self.log_cost
        one = special.polygamma(1, freedom / 2)  # variance of each log variance
        weight = freedom / freedom.sum(1, keepdims=True)
        middle = (weight * x).sum(1)
        spread = freedom * (x - middle[:, None]) ** 2
        slope = (spread * freedom * one).sum() / spread.sum() ** 2
        variance = (weight**2 * one).sum(1) + slope * (np.asarray(log_cost) - middle) ** 2
        return (1 + np.sqrt(1 + 2 * variance)) / variance

    @functools.cached_property
    def correlation(self) -> float:
        """Correlation of two arms' losses with the same seed, pooled over rungs; 0 to 0.95."""
        shared, own = 0.0, 0.0
        for rung, members, covariance in self._groups:
            if len(members) < 2:
                continue
            sd = np.sqrt(np.diag(covariance))
            if not sd.all():
                continue
            weight = self.seeds[members[0], rung] - 1
            smooth = self.smooth_sd(self.log_cost)[members, rung]
            scaled = weight * covariance / np.outer(smooth, smooth)
            pairs = len(members) * (len(members) - 1)
            shared += (scaled.sum() - np.trace(scaled)) / pairs
            own += np.trace(scaled) / len(members)
        return min(max(shared / own, 0.0), 0.95) if own else 0.0

    @functools.cached_property
    def _groups(self) -> list[tuple[int, Array, Array]]:
        """For each rung and set of arms with the same seeds: rung, arms, covariance of the means.

        The covariance, of shape (arms of the group, arms of the group), has (seeds - 1) degrees of
        freedom.
        """
        groups = []
        for rung in range(self.num_rungs):
            by_seeds: dict[frozenset[int], list[int]] = {}
            for index, rows in enumerate(self.losses.values()):
                by_seeds.setdefault(frozenset(rows[rung]), []).append(index)
            for seeds, members in by_seeds.items():
                values = np.array(
                    [[self.losses[self.arms[i]][rung][seed] for seed in sorted(seeds)]
                     for i in members]
                )  # fmt: skip
                covariance = np.atleast_2d(np.cov(values)) / len(seeds)
                groups.append((rung, np.array(members), covariance))
        return groups

    def error(self, weights: Array, extra_variance: Array | float = 0.0) -> tuple[Array, Array]:
        """Return standard errors and degrees of freedom of combinations of the mean losses.

        Args:
            weights: of shape (..., arms, rungs); combination = sum of weights * mean losses.
            extra_variance: of shape (...); variance that is known, such as that of an asymptote
                whose range is known.

        Returns:
            Standard errors and degrees of freedom, each of shape (...). The variances of the
            learning rates count as known.
        """
        weights = np.asarray(weights, float)
        known = extra_variance + (weights**2 * self.rate_var).sum((-2, -1))
        parts = self._parts(weights, [group[2] for group in self._groups])
        expected = self._parts(weights, self._expected_covariances)
        freedom = effective_freedom(parts, expected, self._freedoms, known)
        return np.sqrt(np.maximum(known + parts.sum(0), 0.0)), freedom

    def expected_error(self, weights: Array) -> Array:
        """Return standard errors of combinations by the smooth noise; see :meth:`error`."""
        weights = np.asarray(weights, float)
        known = (weights**2 * self.rate_var).sum((-2, -1))
        return np.sqrt(known + self._parts(weights, self._expected_covariances).sum(0))

    def expected_covariance(self, weights: Array) -> Array:
        """Return the covariance of combinations by the smooth noise; see :meth:`error`.

        Args:
            weights: of shape (combinations, arms, rungs).

        Returns:
            Matrix of shape (combinations, combinations), in nats squared.
        """
        total = np.einsum("iar,jar,ar->ij", weights, weights, self.rate_var)
        for (rung, members, _), covariance in zip(
            self._groups, self._expected_covariances, strict=True
        ):
            part = weights[:, members, rung]
            total = total + part @ covariance @ part.T
        return total

    def _parts(self, weights: Array, covariances: list[Array]) -> Array:
        """Variance of combinations by each group of runs, of shape (groups, ...)."""
        found = []
        for (rung, members, _), covariance in zip(self._groups, covariances, strict=True):
            part = weights[..., members, rung]
            found.append(((part @ covariance) * part).sum(-1))
        return np.array(found)

    @functools.cached_property
    def _expected_covariances(self) -> list[Array]:
        """Covariances of the means of each group, by the smooth noise."""
        sd = self.smooth_sd(self.log_cost)
        found = []
        for rung, members, _ in self._groups:
            correlation = np.full((len(members), len(members)), self.correlation)
            np.fill_diagonal(correlation, 1.0)
            one = sd[members, rung] / math.sqrt(self.seeds[members[0], rung])
            found.append(correlation * np.outer(one, one))
        return found

    @functools.cached_property
    def _freedoms(self) -> Array:
        return np.array([self.seeds[members[0], rung] - 1.0 for rung, members, _ in self._groups])


def t_quantile(level: float, freedom: Array | float) -> Array:
    """Return the t value of a two-sided interval at 1 - ``level``, for infinite freedom too."""
    return -special.stdtrit(np.minimum(freedom, 1e9), level / 2)


def two_sided_p(estimate: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of the t test; 0 or 1 without any spread."""
    if error == 0:
        return 1.0 if estimate == 0 else 0.0
    return float(2 * special.stdtr(min(freedom, 1e9), -abs(estimate) / error))
