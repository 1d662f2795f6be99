"""What a learning rate costs that was transferred instead of searched: the regret, in nats.

Two kinds of evidence:

- runs at the transferred rate and at the best rate of the size itself, with the same seeds. Their
  mean difference is the regret, by the paired t test. The best rate was found on other seeds, so
  that choosing it favours neither side; but it is itself uncertain, and ``excess`` says by how much
  its loss is expected to be above the minimum;
- runs at three rates about the transferred one, the bracketing check. A parabola through their mean
  losses has its minimum within the bracket; the regret is what is lost at the middle. It is the
  largest of the differences between the middle and every other place in the bracket, and these have
  a simultaneous confidence band (Scheffe 1953, Biometrika 40(1/2); Working and Hotelling 1929, J.
  Am. Stat. Assoc. 24(165A)): its largest upper end bounds the regret from above, its largest lower
  end from below. Such an interval covers more often than it says.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from scipy import special

from lmlab.study.ladders.parabola import Array, fit_parabola
from lmlab.study.t_test import Pairs

_PLACES = 401  # within the bracket


@dataclasses.dataclass(frozen=True)
class Regret:
    """A regret with its interval.

    Attributes:
        nats: loss at the transferred rate minus that at the best one, per token.
        low: lower end of the interval; below 0 only for paired runs, where noise can favour the
            transferred rate.
        high: upper end of the interval; inf for a single pair.
        bound: ``at least`` where the lowest loss is at the end of the bracket, so that more may be
            lost than any rate within it tells; empty otherwise.
        best_rate: the rate with the lowest loss.
        excess: expected loss at the best rate above the minimum, by the uncertainty of that rate;
            0 for a bracket.
    """

    nats: float
    low: float
    high: float
    bound: str
    best_rate: float
    excess: float = 0.0


def paired_regret(
    transferred: Mapping[int, float],
    best: Mapping[int, float],
    best_rate: float,
    excess: float = 0.0,
    level: float = 0.1,
) -> Regret:
    """Return the regret by runs at the transferred and at the best rate.

    Args:
        transferred: final losses at the transferred rate by seed, in nats per token.
        best: final losses at the best rate of the size itself, by seed.
        best_rate: that rate.
        excess: of :class:`lmlab.study.ladders.rate_error.RateError`.
        level: probability that the interval misses the difference of the two rates.

    Raises:
        ValueError: if the two share no seed.
    """
    shared = sorted(set(transferred) & set(best))
    if not shared:
        raise ValueError("a paired regret: expected runs with the same seeds at both rates")
    differences = [transferred[seed] - best[seed] for seed in shared]
    if len(shared) == 1:
        return Regret(differences[0], -math.inf, math.inf, "", best_rate, excess)
    found = Pairs(differences).estimate()
    low, high = found.interval(level)
    return Regret(found.difference, low, high, "", best_rate, excess)


def bracket_regret(
    losses: Mapping[float, Mapping[int, float]],
    middle: float,
    expected_sd: float,
    expected_freedom: float = math.inf,
    level: float = 0.1,
) -> Regret:
    """Return the regret of a transferred rate by runs at it and at a rate to either side.

    Args:
        losses: final losses by rate and seed at three rates, in nats per token; a rate at which a
            run diverged is left out, and two rates are compared then.
        middle: the transferred rate.
        expected_sd: standard deviation of the loss over seeds, for a bracket with one seed: that of
            the runs that judge the rung. What seeds shift at all rates alike is part of it and
            would cancel, so that this errs to the wide side.
        expected_freedom: its degrees of freedom.
        level: probability that the interval misses the regret within the bracket.

    Raises:
        ValueError: if there are no runs at the middle and another rate with the same seed.
    """
    rates = sorted(losses)
    seeds = sorted(set.intersection(*(set(losses[rate]) for rate in rates)))
    if middle not in losses or not 2 <= len(rates) <= 3 or not seeds:
        raise ValueError(
            f"a bracket of {middle:g}: expected runs at it and beside it, found {rates}"
        )
    values = np.array([[losses[rate][seed] for seed in seeds] for rate in rates])
    variance, freedom = _noise(values, expected_sd, expected_freedom)
    x, means = np.log(rates), values.mean(1)
    places = np.linspace(x[0], x[-1], _PLACES)
    if len(rates) == 3:
        curve = fit_parabola(x, means)
        weights = curve.value_weights(math.log(middle)) - curve.value_weights(places)
    else:
        share = ((places - x[0]) / (x[1] - x[0]))[:, None]
        at_middle = np.array([float(rate == middle) for rate in rates])
        weights = at_middle - np.concatenate([1 - share, share], axis=1)
    differences = weights @ means
    number = min(len(rates) - 1, 2)
    quantile = math.sqrt(number * special.fdtri(number, min(freedom, 1e9), 1 - level))
    half = quantile * np.sqrt((weights**2).sum(1) * variance / len(seeds))
    best = int(np.argmax(differences))
    return Regret(
        float(differences[best]),
        max(float((differences - half).max()), 0.0),
        float((differences + half).max()),
        "at least" if best in (0, _PLACES - 1) and differences[best] > 0 else "",
        float(np.exp(places[best])),
    )


def _noise(values: Array, expected_sd: float, expected_freedom: float) -> tuple[float, float]:
    """Return the variance of one run beside what rate and seed add, and its degrees of freedom.

    Args:
        values: losses of shape (rates, seeds).
        expected_sd: for one seed.
        expected_freedom: its degrees of freedom.
    """
    rates, seeds = values.shape
    if seeds == 1:
        return expected_sd**2, expected_freedom
    rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    freedom = (rates - 1) * (seeds - 1)
    return float((rest**2).sum()) / freedom, float(freedom)
