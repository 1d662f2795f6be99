"""Runs of a learning-rate search that its first tuning seed makes needless.

A further tuning seed is trained only where it can move the best rate by an amount that matters:

- Nowhere, if the first seed fits the rate well enough. The vertex of a parabola with the bend c (in
  nats per squared step between the rates) moves by ``sqrt(2) noise / (4 c)`` steps, which costs
  ``noise^2 / (8 c)`` nats on average. Nor may the skew of the losses suggest that the vertex costs
  that much. The losses must also fall towards the best rate and rise beyond it, as far as noise
  allows: a run that broke down, at the best rate or beside it, does not pass for a narrow basin.
- Otherwise, not at rates that are worse than the best one by more than noise allows and are no
  neighbours of it: the parabola does not use them. The best rate is that with the lowest mean among
  the rates that all seeds have tried; if it moves, all seeds try its new neighbours.
- Everywhere, if a seed shifts the losses by amounts that differ far more than noise allows. A run
  broke down, and the search repairs its loss by the shifts at all rates.

Pruning is a function of the outcomes: it stops no run, and needs no run that is not there.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence

from lmlab.design.basin import measure_basin, with_neighbours

ALWAYS, AUTO, NEVER = "always", "auto", "never"
PRUNES = (AUTO, ALWAYS, NEVER)
_CLEARLY = 2.0  # standard deviations of the difference of two runs
# Standard deviations of a run by which the shifts of a seed differ only if a run broke down. The
# range of three shifts of normal noise is above it once in 10^11 searches.
_BROKEN_DOWN = 10.0


@dataclasses.dataclass(frozen=True)
class Pruning:
    """The rule by which rates get no further tuning seeds.

    Attributes:
        noise: standard deviation of the final loss over seeds.
        negligible: excess loss at the best rate that does not matter.
    """

    noise: float
    negligible: float = 0.0

    def repeated_rates(
        self,
        losses: Mapping[float, Mapping[int, float]],
        failed: Collection[tuple[float, int]],
        seeds: Sequence[int],
    ) -> list[float]:
        """Return the rates that all tuning seeds have to try, as far as the losses tell.

        Once all of them have ended, the same call may return more.

        Args:
            losses: final losses by rate and seed of the runs that train, around the best rate; with
                the first seed of each rate.
            failed: runs at these rates that do not train.
            seeds: the tuning seeds, of which the first has tried all rates.
        """
        first = {rate: by_seed[seeds[0]] for rate, by_seed in losses.items()}
        best = min(first, key=lambda rate: first[rate])
        if self._is_located(first, best, seeds[0]):
            return []
        kept = {rate for rate, loss in first.items() if loss <= first[best] + self._allowance}
        kept.update(with_neighbours(first, best))
        bad = {rate for rate, _ in failed}
        while True:
            runs = [(rate, seed) for rate in kept for seed in seeds]
            if not all(run in failed or run[1] in losses[run[0]] for run in runs):
                break
            tried = {rate: losses[rate] for rate in kept if rate not in bad}
            if not tried or self._disagree(tried, seeds):
                kept = set(losses)
                break
            means = {rate: _mean(by_seed, seeds) for rate, by_seed in tried.items()}
            best = min(sorted(means), key=lambda rate: means[rate])
            wanted = kept.union(with_neighbours([one for one in losses if one not in bad], best))
            if wanted == kept:
                break
            kept = wanted
        return [rate for rate in losses if rate in kept]

    @property
    def _allowance(self) -> float:
        return _CLEARLY * math.sqrt(2) * self.noise

    def _is_located(self, first: Mapping[float, float], best: float, seed: int) -> bool:
        """Return whether the losses of one seed tell the best rate well enough."""
        losses = {rate: {seed: loss} for rate, loss in first.items()}
        basin = measure_basin(losses, first, best, [seed], self.noise)
        bend, asymmetry = basin.curvature, basin.excess
        if bend is None or asymmetry is None:
            return False
        if max(self.noise**2 / (8 * bend), asymmetry) > self.negligible:
            return False
        rates = sorted(first, key=lambda rate: abs(math.log(rate / best)))
        for side in ([one for one in rates if one <= best], [one for one in rates if one >= best]):
            rises = [first[far] - first[near] for near, far in itertools.pairwise(side)]
            if min(rises) < -self._allowance:
                return False
        return True

    def _disagree(self, losses: Mapping[float, Mapping[int, float]], seeds: Sequence[int]) -> bool:
        """Return whether a seed shifts the losses at different rates by too different amounts."""
        for seed in seeds[1:]:
            shifts = [by_seed[seed] - by_seed[seeds[0]] for by_seed in losses.values()]
            if max(shifts) - min(shifts) > _BROKEN_DOWN * self.noise:
                return True
        return False


def effective_prune(prune: str, lr: str, is_sequential: bool) -> str:
    """Return ``design.prune`` of a study with ``auto`` replaced.

    Args:
        prune: the setting.
        lr: ``design.lr``; without a search there is nothing to prune.
        is_sequential: whether the study looks at its arms after every seed.
    """
    if lr == "fixed" or (prune == AUTO and not is_sequential):
        return NEVER
    return ALWAYS if prune == AUTO else prune


def means_over_seeds(
    losses: Mapping[float, Mapping[int, float]], seeds: Sequence[int]
) -> dict[float, float]:
    """Return the mean loss of each rate over all seeds, also where some have not tried it.

    A seed shifts the loss by about the same amount at every rate. The mean of a rate that some
    seeds have not tried is that of the others, plus the mean difference that they make at the rates
    that all seeds have tried.
    """
    complete = rates_of_all_seeds(losses, seeds)
    means = {}
    for rate, by_seed in losses.items():
        means[rate] = math.fsum(by_seed.values()) / len(by_seed)
        if rate not in complete and complete:
            there = [seed for seed in seeds if seed in by_seed]
            shifts = [_mean(losses[one], seeds) - _mean(losses[one], there) for one in complete]
            means[rate] = _mean(by_seed, there) + math.fsum(shifts) / len(shifts)
    return means


def rates_of_all_seeds(
    losses: Mapping[float, Mapping[int, float]], seeds: Sequence[int]
) -> list[float]:
    """Return the rates that all seeds have tried."""
    return [rate for rate, by_seed in losses.items() if all(seed in by_seed for seed in seeds)]


def _mean(by_seed: Mapping[int, float], seeds: Sequence[int]) -> float:
    return math.fsum(by_seed[seed] for seed in seeds) / len(seeds)
