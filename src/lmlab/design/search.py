"""The search for a learning rate: which rates to try next, given what the earlier ones gave.

A search is a pure function of its results, so it goes on from whatever runs exist. It brackets the
optimum on a coarse logarithmic grid with the first tuning seed, refines around it with all tuning
seeds, and meanwhile climbs to the rate at which training breaks down and closes in on that edge by
bisection. The answer is the lowest point of the parabola in log(rate) through the best rate and its
two neighbours: a fitted optimum is off by less than the best of several noisy measurements, which
matters because two arms are compared at rates that were each found so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

FARTHEST = 1000.0  # ratio to the first rate, to either side, that the grid may reach
_SAME = 0.01  # relative; the grid and bisection are rounded each by itself


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """What came of one run.

    Attributes:
        status: of the run folder; only ``done`` and ``diverged`` are final.
        loss: final validation loss, or the design's other metric; None where it has none or it is
            not finite.
        first_loss: validation loss before training.
    """

    status: str
    loss: float | None = None
    first_loss: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether no further training can change it."""
        return self.status in ("done", "diverged")


def outcome_of(status: str, losses: Sequence[float]) -> TrialOutcome:
    """What came of a finished run, from its validation losses in order."""
    if not losses:
        return TrialOutcome(status)
    is_sound = status == "done" and math.isfinite(losses[-1])
    return TrialOutcome(status, float(losses[-1]) if is_sound else None, float(losses[0]))


Tried = Mapping[tuple[float, int], TrialOutcome]  # by rate and seed


@dataclasses.dataclass(frozen=True)
class Search:
    """The rule by which an arm's learning rate is found.

    Attributes:
        start: first rate.
        factor: ratio of neighbouring rates on the coarse grid.
        edge_ratio: where bisection of the divergence edge stops.
        seeds: tuning seeds; the coarse grid and the edge use the first alone.
    """

    start: float
    factor: float
    edge_ratio: float
    seeds: Sequence[int]

    def wanted(self, tried: Tried) -> list[tuple[float, int]]:
        """Every (rate, seed) that the search needs, so far as the results tell; in order.

        It contains all that was tried at its behest, so a search has ended when everything wanted
        was tried.
        """
        grid = self._coarse(tried)
        first = self.seeds[0]
        runs = [(rate, first) for rate in grid]
        if not self._all_known(runs, tried):
            return runs
        best = self._best_of(grid, tried)
        if best is None:
            return runs
        window = self._window(best)
        usable = [
            rate
            for rate in window
            if (rate, first) not in tried or self.is_usable(rate, tried[rate, first], tried)
        ]
        runs += [(rate, seed) for seed in self.seeds for rate in usable]
        return list(dict.fromkeys(runs + self._edge_runs(tried, window)))

    def best(self, tried: Tried) -> float | None:
        """The best rate, once the search has ended; None before, or if no rate trains.

        Rounded to three digits, so that it can be typed.
        """
        if not self._all_known(self.wanted(tried), tried):
            return None
        coarse = self._best_of(self._coarse(tried), tried)
        if coarse is None:
            return None
        means = self._means(tried)
        window = [rate for rate in self._window(coarse) if rate in means]
        best = min(window, key=lambda rate: means[rate])
        return _rounded(_vertex(window, means, best))

    def edge(self, tried: Tried) -> tuple[float | None, float | None]:
        """The largest rate that trained below the least that did not, and that one."""
        known = {rate: self._is_usable_rate(rate, tried) for rate, _ in tried}
        broken = sorted(rate for rate, usable in known.items() if usable is False)
        least = broken[0] if broken else None
        sound = [
            rate for rate, usable in known.items() if usable and (least is None or rate < least)
        ]
        return (max(sound) if sound else None), least

    def is_usable(self, rate: float, outcome: TrialOutcome, tried: Tried) -> bool:
        """Whether a run trained: it neither diverged nor lost half of what the best one gained.

        A rate below the best one may gain less for being small, and still trains.
        """
        if outcome.status == "diverged" or outcome.loss is None:
            return False
        losses = {run[0]: o.loss for run, o in tried.items() if o.loss is not None}
        best = min(losses, key=lambda rate: losses[rate])
        if rate <= best or outcome.first_loss is None:
            return True
        return outcome.loss <= (outcome.first_loss + losses[best]) / 2

    def _coarse(self, tried: Tried) -> list[float]:
        """The coarse grid, as far as it must reach: until its best rate has neighbours."""
        low, high = -1, 1
        while True:
            grid = [self._rate(step) for step in range(low, high + 1)]
            if not self._all_known([(rate, self.seeds[0]) for rate in grid], tried):
                return grid
            best = self._best_of(grid, tried)
            if (best is None or best == grid[0]) and low > -self._most_steps:
                low -= 1
            elif best == grid[-1] and high < self._most_steps:
                high += 1
            else:
                return grid

    @property
    def _most_steps(self) -> int:
        return round(math.log(FARTHEST) / math.log(self.factor))

    def _rate(self, step: float) -> float:
        return _rounded(self.start * self.factor**step)

    def _window(self, best: float) -> list[float]:
        step = math.log(best / self.start) / math.log(self.factor)
        return [self._rate(round(2 * step) / 2 + shift) for shift in (-1, -0.5, 0, 0.5, 1)]

    def _edge_runs(self, tried: Tried, window: Sequence[float]) -> list[tuple[float, int]]:
        """The next run towards the edge; one of the window's where that has as good a rate."""
        first = self.seeds[0]
        sound, broken = self.edge(tried)
        if sound is None:
            return []
        if broken is None:
            steps = math.floor(math.log(sound / self.start) / math.log(self.factor) + 1e-6) + 1
            return [(self._rate(steps), first)] if steps <= self._most_steps else []
        if broken / sound <= self.edge_ratio:
            return []
        middle = math.sqrt(sound * broken)
        shared = [
            rate
            for rate in window
            if sound < rate < broken and math.isclose(rate, middle, rel_tol=_SAME)
        ]
        return [(rate, first) for rate in shared or [_rounded(middle)]]

    def _best_of(self, rates: Sequence[float], tried: Tried) -> float | None:
        losses = {}
        for rate in rates:
            outcome = tried[rate, self.seeds[0]]
            if self.is_usable(rate, outcome, tried) and outcome.loss is not None:
                losses[rate] = outcome.loss
        return min(losses, key=lambda rate: losses[rate]) if losses else None

    def _is_usable_rate(self, rate: float, tried: Tried) -> bool | None:
        outcomes = [o for (other, _), o in tried.items() if other == rate and o.is_final]
        return all(self.is_usable(rate, o, tried) for o in outcomes) if outcomes else None

    def _means(self, tried: Tried) -> dict[float, float]:
        """Mean loss of each rate at which every run trained."""
        means = {}
        for rate in {rate for rate, _ in tried}:
            if self._is_usable_rate(rate, tried):
                losses = [o.loss for (r, _), o in tried.items() if r == rate and o.loss is not None]
                means[rate] = math.fsum(losses) / len(losses)
        return means

    @staticmethod
    def _all_known(runs: Sequence[tuple[float, int]], tried: Tried) -> bool:
        return all(run in tried and tried[run].is_final for run in runs)


def _vertex(window: Sequence[float], means: Mapping[float, float], best: float) -> float:
    """The lowest point of the parabola through ``best`` and its neighbours, between those."""
    below = max((rate for rate in window if rate < best), default=None)
    above = min((rate for rate in window if rate > best), default=None)
    if below is None or above is None:
        return best
    left, right = math.log(below / best), math.log(above / best)
    rise_left = (means[below] - means[best]) / left
    rise_right = (means[above] - means[best]) / right
    curvature = (rise_right - rise_left) / (right - left)
    if curvature <= 0:
        return best
    slope = rise_right - curvature * right
    return best * math.exp(min(max(-slope / (2 * curvature), left), right))


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
