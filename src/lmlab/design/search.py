"""The search for a learning rate: which rates to try next, given the outcomes so far.

A search is a pure function of its outcomes, so it resumes from any set of finished runs. It
brackets the optimum on a coarse logarithmic grid with the first tuning seed and refines around it
with all tuning seeds. Meanwhile it raises the rate until training breaks down, and bisects that
divergence edge. The result is the vertex of the parabola in log(rate) through the best rate and its
two neighbours: a fitted optimum has a smaller error than the best of several noisy measurements,
which matters because two arms are compared at rates that were each found this way.

Outcomes of later runs, such as a failure at a low rate, can change what the search calls for.
:class:`lmlab.design.confirmation.ConfirmedSearch` therefore passes it outcomes stage by stage.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from lmlab.design.basin import vertex, with_neighbours
from lmlab.design.pruning import Pruning, means_over_seeds, rates_of_all_seeds

MAX_RATIO = 1000.0  # of the grid's outermost rates to the start, in both directions
_MIN_RATES_TO_REPAIR = 5
_BROKEN_DOWN = 10  # times the usual difference of two seeds from their shift
RATE_TOLERANCE = 0.01  # relative; grid and bisection round their rates independently
FAILED_TO_LEARN = "failed to learn"  # the outcome of a run that finished, but collapsed


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """The outcome of one run.

    Attributes:
        status: status of the run folder, of which only ``done`` and ``diverged`` are final; or
            ``failed to learn`` for a run that collapsed, by comparison with others.
        loss: final validation loss, or the design's other metric; None if missing or not finite.
        first_loss: validation loss before training.
    """

    status: str
    loss: float | None = None
    first_loss: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether the run has finished, so that the outcome cannot change."""
        return self.status in ("done", "diverged", FAILED_TO_LEARN)

    @property
    def has_diverged(self) -> bool:
        """Whether the run diverged or collapsed, or finished without a finite loss."""
        return self.is_final and (self.status != "done" or self.loss is None)

    def has_collapsed(self, best: float) -> bool:
        """Return whether the run reduced the loss by less than half as much as a run that trains.

        Args:
            best: final loss of that run, the best one of the same arm.
        """
        if self.loss is None or self.first_loss is None:
            return False
        return self.loss > (self.first_loss + best) / 2


def outcome_from_losses(status: str, losses: Sequence[float]) -> TrialOutcome:
    """Return the outcome of a finished run from its validation losses in order."""
    if not losses:
        return TrialOutcome(status)
    is_finite = status == "done" and math.isfinite(losses[-1])
    return TrialOutcome(status, float(losses[-1]) if is_finite else None, float(losses[0]))


def collapsed_seeds(outcomes: Mapping[int, TrialOutcome]) -> tuple[int, ...]:
    """Return the seeds of an arm whose runs finished but collapsed.

    They reduced the loss by less than half as much as the best run, as in a search, and are
    separated from the runs that did not by more than these differ among themselves.

    Args:
        outcomes: results of runs that differ in their seed only.
    """
    losses = {seed: one.loss for seed, one in outcomes.items() if one.loss is not None}
    order = sorted(losses, key=lambda seed: losses[seed])
    for number in range(1, len(order)):
        near, far = order[:number], order[number:]
        best, last = losses[near[0]], losses[near[-1]]
        is_separate = losses[far[0]] - last > last - best
        if is_separate and all(outcomes[seed].has_collapsed(best) for seed in far):
            return tuple(sorted(far))
    return ()


Trials = Mapping[tuple[float, int], TrialOutcome]  # by learning rate and seed


@dataclasses.dataclass(frozen=True)
class Fit:
    """What the best rate of a search is fitted to.

    Attributes:
        rates: the rates around the best one at which every run trains, ascending.
        losses: their final losses by rate and seed.
        means: their mean losses over the tuning seeds.
        best: the rate with the lowest mean, of those that all tuning seeds have tried.
    """

    rates: list[float]
    losses: dict[float, Mapping[int, float]]
    means: dict[float, float]
    best: float

    @property
    def rate(self) -> float:
        """The best rate, rounded to three digits so that it can be typed."""
        return rounded(vertex(self.rates, self.means, self.best))


@dataclasses.dataclass(frozen=True)
class LRSearch:
    """The rule that finds the learning rate of an arm.

    Attributes:
        start: first learning rate.
        factor: ratio of neighbouring rates on the coarse grid.
        edge_ratio: bisection of the divergence edge stops when its bracket has this ratio; None to
            leave the edge unknown.
        seeds: tuning seeds; the coarse grid and the edge use only the first.
        pruning: which rates get no further seeds; None for all seeds at all rates around the best.
            With it, the coarse grid starts with two rates instead of three: the one below the start
            is tried only if the one above is no better.
    """

    start: float
    factor: float
    edge_ratio: float | None
    seeds: Sequence[int]
    pruning: Pruning | None = None

    def required_runs(self, trials: Trials) -> list[tuple[float, int]]:
        """Return every (rate, seed) that the outcomes so far call for, in order.

        Runs required earlier stay in the list, so the search is complete when every required run
        has finished.
        """
        grid = self._coarse_grid(trials)
        first = self.seeds[0]
        runs = [(rate, first) for rate in grid]
        if not self.all_final(runs, trials):
            return runs
        best = self._best_of(grid, trials)
        if best is None:
            return runs
        window = self._window(best)
        runs += self._window_runs(window, trials)
        return list(dict.fromkeys(runs + self._edge_runs(trials, window)))

    def pruned_runs(self, trials: Trials) -> list[tuple[float, int]]:
        """Return the runs that pruning saves: those that the search would need without it.

        Empty while there is no best rate. Runs that it would need because of their outcomes are not
        among them.
        """
        coarse = self._best_of(self._coarse_grid(trials), trials) if self.fit(trials) else None
        if coarse is None:
            return []
        unpruned = dataclasses.replace(self, pruning=None)
        runs = [(self._rate(step), self.seeds[0]) for step in (-1, 0, 1)]
        runs += unpruned._window_runs(self._window(coarse), trials)
        required = set(self.required_runs(trials))
        return [run for run in dict.fromkeys(runs) if run not in required]

    def best_lr(self, trials: Trials) -> float | None:
        """Return the best rate, rounded to three digits so that it can be typed.

        None while the search is incomplete, or if no rate trains.
        """
        fit = self.fit(trials)
        return None if fit is None else fit.rate

    def fitted_rates(self, trials: Trials) -> tuple[float, ...]:
        """Return the rates on which the best one rests: the best searched one and its neighbours.

        Ascending; empty while there is no best rate.
        """
        fit = self.fit(trials)
        return () if fit is None else with_neighbours(fit.rates, fit.best)

    def fit(self, trials: Trials) -> Fit | None:
        """Return what the best rate is fitted to; None while there is no best rate."""
        if not self.is_finished(trials):
            return None
        coarse = self._best_of(self._coarse_grid(trials), trials)
        if coarse is None:
            return None
        losses = self.losses(trials)
        rates = [rate for rate in self._window(coarse) if rate in losses]
        if not rates:
            return None
        kept = {rate: losses[rate] for rate in rates}
        means = means_over_seeds(kept, self.seeds)
        candidates = rates_of_all_seeds(kept, self.seeds) or rates
        return Fit(rates, kept, means, min(candidates, key=lambda rate: means[rate]))

    def is_finished(self, trials: Trials) -> bool:
        """Return whether every run that the search calls for has finished."""
        return self.all_final(self.required_runs(trials), trials)

    def divergence_edge(self, trials: Trials) -> tuple[float | None, float | None]:
        """Return the highest rate that trains and, above it, the lowest that does not."""
        known = {rate: self._rate_trains(rate, trials) for rate, _ in trials}
        failing = sorted(rate for rate, trains in known.items() if trains is False)
        lowest = failing[0] if failing else None
        training = [
            rate for rate, trains in known.items() if trains and (lowest is None or rate < lowest)
        ]
        return (max(training) if training else None), lowest

    def trains(self, rate: float, outcome: TrialOutcome, trials: Trials) -> bool:
        """Return whether a run trains: it did not diverge, and kept half of the best run's gain.

        Rates below the best one always count: they may gain little only because they are low.
        """
        if outcome.status == "diverged" or outcome.loss is None:
            return False
        losses = {run[0]: o.loss for run, o in trials.items() if o.loss is not None}
        best = min(losses, key=lambda rate: losses[rate])
        return rate <= best or not outcome.has_collapsed(losses[best])

    def _coarse_grid(self, trials: Trials) -> list[float]:
        """Return the coarse grid, extended until its best rate has neighbours."""
        low, high = (-1 if self.pruning is None else 0), 1
        while True:
            grid = [self._rate(step) for step in range(low, high + 1)]
            if not self.all_final([(rate, self.seeds[0]) for rate in grid], trials):
                return grid
            best = self._best_of(grid, trials)
            if (best is None or best == grid[0]) and low > -self._max_grid_steps:
                low -= 1
            elif best == grid[-1] and high < self._max_grid_steps:
                high += 1
            else:
                return grid

    @property
    def _max_grid_steps(self) -> int:
        return round(math.log(MAX_RATIO) / math.log(self.factor))

    def _rate(self, step: float) -> float:
        return rounded(self.start * self.factor**step)

    def _window(self, best: float) -> list[float]:
        step = math.log(best / self.start) / math.log(self.factor)
        return [self._rate(round(2 * step) / 2 + shift) for shift in (-1, -0.5, 0, 0.5, 1)]

    def _window_runs(self, window: Sequence[float], trials: Trials) -> list[tuple[float, int]]:
        """Return the runs around the best rate of the coarse grid, seed by seed."""
        first = self.seeds[0]
        rates = [
            rate
            for rate in window
            if (rate, first) not in trials or self.trains(rate, trials[rate, first], trials)
        ]
        alone = [(rate, first) for rate in rates]
        if self.pruning is None or not self.all_final(alone, trials):
            repeated = rates if self.pruning is None else []
        else:
            tried = {
                run: trials[run]
                for run in ((rate, seed) for rate in rates for seed in self.seeds)
                if run in trials and trials[run].is_final
            }
            losses: dict[float, dict[int, float]] = {rate: {} for rate in rates}
            failed = set()
            for (rate, seed), outcome in tried.items():
                if self.trains(rate, outcome, trials) and outcome.loss is not None:
                    losses[rate][seed] = outcome.loss
                else:
                    failed.add((rate, seed))
            repeated = self.pruning.repeated_rates(losses, failed, self.seeds)
        return alone + [(rate, seed) for seed in self.seeds for rate in repeated]

    def _edge_runs(self, trials: Trials, window: Sequence[float]) -> list[tuple[float, int]]:
        """Return the next run towards the edge, preferring a rate that the window tries anyway."""
        first = self.seeds[0]
        highest, lowest = self.divergence_edge(trials)
        if highest is None or self.edge_ratio is None:
            return []
        if lowest is None:
            steps = math.floor(math.log(highest / self.start) / math.log(self.factor) + 1e-6) + 1
            return [(self._rate(steps), first)] if steps <= self._max_grid_steps else []
        if lowest / highest <= self.edge_ratio:
            return []
        middle = math.sqrt(highest * lowest)
        shared = [
            rate
            for rate in window
            if highest < rate < lowest and math.isclose(rate, middle, rel_tol=RATE_TOLERANCE)
        ]
        return [(rate, first) for rate in shared or [rounded(middle)]]

    def _best_of(self, rates: Sequence[float], trials: Trials) -> float | None:
        losses = {}
        for rate in rates:
            outcome = trials[rate, self.seeds[0]]
            if self.trains(rate, outcome, trials) and outcome.loss is not None:
                losses[rate] = outcome.loss
        return min(losses, key=lambda rate: losses[rate]) if losses else None

    def _rate_trains(self, rate: float, trials: Trials) -> bool | None:
        outcomes = [o for (other, _), o in trials.items() if other == rate and o.is_final]
        return all(self.trains(rate, o, trials) for o in outcomes) if outcomes else None

    def losses(self, trials: Trials) -> Mapping[float, Mapping[int, float]]:
        """Return the losses by rate and seed of each rate at which every run trains."""
        losses: dict[float, dict[int, float]] = {}
        for (rate, seed), outcome in trials.items():
            if outcome.loss is not None and self._rate_trains(rate, trials):
                losses.setdefault(rate, {})[seed] = outcome.loss
        return _repaired(losses, self.seeds[0])

    @staticmethod
    def all_final(runs: Sequence[tuple[float, int]], trials: Trials) -> bool:
        """Return whether all these runs have finished."""
        return all(run in trials and trials[run].is_final for run in runs)


def mean_loss(by_seed: Mapping[int, float]) -> float:
    """Return the mean of the losses of several seeds."""
    return math.fsum(by_seed.values()) / len(by_seed)


def _repaired(
    losses: Mapping[float, Mapping[int, float]], first: int
) -> Mapping[float, Mapping[int, float]]:
    """Replace the losses of runs that broke down by what the other seeds at their rate suggest.

    A seed shifts the loss by about the same amount at every rate. At least five rates tell how much
    that varies; a run that is worse by more than ten times as much broke down, and would move the
    parabola.

    Args:
        losses: final losses by rate and seed.
        first: the seed that the shifts refer to.

    Returns:
        The losses, the same where no run broke down.
    """
    repaired = {rate: dict(by_seed) for rate, by_seed in losses.items()}
    for seed in sorted({seed for by_seed in losses.values() for seed in by_seed} - {first}):
        shifts = {
            rate: by_seed[seed] - by_seed[first]
            for rate, by_seed in losses.items()
            if seed in by_seed and first in by_seed
        }
        if len(shifts) < _MIN_RATES_TO_REPAIR:
            continue
        shift = statistics.median(shifts.values())
        usual = statistics.median(abs(one - shift) for one in shifts.values())
        for rate, one in shifts.items():
            if one - shift > _BROKEN_DOWN * usual:
                repaired[rate][seed] = losses[rate][first] + shift
            elif shift - one > _BROKEN_DOWN * usual:
                repaired[rate][first] = losses[rate][seed] - shift
    return repaired


def rounded(rate: float) -> float:
    """Return a rate with three digits, so that it can be typed."""
    return float(f"{rate:.3g}")
