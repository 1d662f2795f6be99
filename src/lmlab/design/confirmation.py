"""The confirmation of a searched learning rate by runs at it and at one rate to either side.

The vertex of a parabola is the best rate only where the loss rises alike on both sides. Arms with
basins of different asymmetry lose different amounts at their vertices, which a verdict would report
as a difference.

All tuning seeds run at the vertex and at a quarter of a grid step below and above it. If the middle
rate has the lowest mean, the result is the vertex of the parabola through the three. Otherwise one
more rate is tried, beyond the side with the lowest mean, and the best rate of all is the result.
Like the search, a confirmation is a pure function of the outcomes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from lmlab.design.basin import Basin, measure_basin, vertex, with_neighbours
from lmlab.design.pruning import means_over_seeds
from lmlab.design.search import (
    RATE_TOLERANCE,
    Fit,
    LRSearch,
    TrialOutcome,
    Trials,
    mean_loss,
    rounded,
)

ALWAYS, AUTO, NEVER = "always", "auto", "never"
POLICIES = (AUTO, ALWAYS, NEVER)
_SUPPORTED = 2.0  # standard errors by which a side must be lower to move a rate without doubt


@dataclasses.dataclass(frozen=True)
class Confirmation:
    """What the runs at a searched rate and beside it show.

    Attributes:
        searched: the rate that the search found.
        rates: the rates to run with all tuning seeds, ascending.
        rate: the confirmed rate; None while runs are missing.
        fitted: the rates that the confirmed one rests on: the best one and its neighbours; empty
            if none of ``rates`` trains with all tuning seeds, and the searched rate stays.
        is_enclosed: whether both neighbours of the best rate are worse or unstable.
    """

    searched: float
    rates: list[float]
    rate: float | None = None
    fitted: tuple[float, ...] = ()
    is_enclosed: bool = False


@dataclasses.dataclass(frozen=True)
class ConfirmedSearch:
    """A search for a learning rate, and the runs that confirm its result.

    Attributes:
        search: the search.
        policy: ``always``; ``never``; or ``auto``, to confirm only a rate in doubt.
        expected_sd: standard deviation of the loss over seeds to assume with one tuning seed.
        negligible: excess loss at the searched rate that gives no reason for doubt.
    """

    search: LRSearch
    policy: str = NEVER
    expected_sd: float = 0.0
    negligible: float = 0.0

    def required_runs(self, trials: Trials) -> list[tuple[float, int]]:
        """Return every (rate, seed) that the outcomes so far call for, in order."""
        searched = self._searched(trials)
        found = self._confirmation(searched, trials)
        runs = [*self.search.required_runs(searched), *searched]
        return list(dict.fromkeys(runs + ([] if found is None else self._runs(found.rates))))

    def is_finished(self, trials: Trials) -> bool:
        """Return whether every run that search and confirmation call for has finished."""
        return self.search.all_final(self.required_runs(trials), trials)

    def best_lr(self, trials: Trials) -> float | None:
        """Return the best rate, confirmed where the policy says so.

        None while runs are missing, or if no rate trains.
        """
        searched = self._searched(trials)
        found = self._confirmation(searched, trials)
        return self.search.best_lr(searched) if found is None else found.rate

    def fitted_rates(self, trials: Trials) -> tuple[float, ...]:
        """Return the rates on which the best one rests; empty while there is no best rate."""
        searched = self._searched(trials)
        found = self._confirmation(searched, trials)
        return (found.fitted if found else ()) or self.search.fitted_rates(searched)

    def basin(self, trials: Trials) -> Basin | None:
        """Return the shape of the loss that the search found; None while it is unfinished."""
        fit = self.search.fit(self._searched(trials))
        return None if fit is None else self._basin(fit)

    def mean_losses(self, trials: Trials) -> dict[float, float]:
        """Return the mean loss of each rate that all tuning seeds tried and trained at.

        With pruning, also of the others, for which the shifts of the missing seeds stand in.
        """
        losses = self.search.losses(trials)
        if self.search.pruning is not None:
            return means_over_seeds(losses, self.search.seeds)
        return {
            rate: mean_loss(by_seed)
            for rate, by_seed in losses.items()
            if len(by_seed) == len(self.search.seeds)
        }

    def pruned_runs(self, trials: Trials) -> list[tuple[float, int]]:
        """Return the runs that pruning has saved; empty while the search is unfinished."""
        return self.search.pruned_runs(self._searched(trials))

    def confirmation(self, trials: Trials) -> Confirmation | None:
        """Return the rates to confirm and the result.

        None while the search is unfinished, and where there is nothing to confirm.
        """
        return self._confirmation(self._searched(trials), trials)

    def _confirmation(self, searched: Trials, trials: Trials) -> Confirmation | None:
        fit = None if self.policy == NEVER else self.search.fit(searched)
        if fit is None:
            return None
        basin, rate = self._basin(fit), fit.rate
        in_doubt = bool(basin.doubt(self.negligible))
        if self.policy == AUTO and not in_doubt:
            return None
        limit = 0.0 if in_doubt else _SUPPORTED * math.sqrt(2) * basin.error
        ratio = self._ratio
        first = self._rates_to_run(rate, [rate / ratio, rate, rate * ratio], searched)
        means = self._means(first, searched, trials)
        if means is None:
            return Confirmation(rate, first)
        best = _lowest(first, means)
        if rate in means and means[rate] - means[best] <= limit:
            found = rounded(vertex(means, means, rate)) if in_doubt else rate
            return Confirmation(rate, first, found, with_neighbours(means, rate), is_enclosed=True)
        beyond = best / ratio if best < rate else best * ratio
        rates = self._rates_to_run(rate, [*first, beyond], searched)
        means = self._means(rates, searched, trials)
        if means is None:
            return Confirmation(rate, rates)
        if not means:
            return Confirmation(rate, rates, rate)
        # The loss is far from a parabola here, so that the best rate tried beats another vertex.
        best = _lowest(rates, means)
        return Confirmation(
            rate, rates, best, with_neighbours(means, best), is_enclosed=best in first
        )

    def _searched(self, trials: Trials) -> Trials:
        """Return the outcomes that the search by itself calls for, stage by stage.

        A stage is what the outcomes of those before it call for, and counts once all of its runs
        have finished. The result is thus the same in whichever order runs finish, and whatever else
        has finished, such as runs of the confirmation.
        """
        kept: dict[tuple[float, int], TrialOutcome] = {}
        while True:
            fresh = [run for run in self.search.required_runs(kept) if run not in kept]
            if not fresh or not self.search.all_final(fresh, trials):
                return kept
            kept |= {run: trials[run] for run in fresh}

    def _basin(self, fit: Fit) -> Basin:
        return measure_basin(fit.losses, fit.means, fit.best, self.search.seeds, self.expected_sd)

    @property
    def _ratio(self) -> float:
        """The ratio of neighbouring rates of a confirmation: a quarter of a grid step."""
        return self.search.factor ** (1 / 4)

    def _rates_to_run(self, center: float, rates: Sequence[float], searched: Trials) -> list[float]:
        """Return the rates that are not known to diverge, ascending.

        A rate that the search has tried takes the place of one that is almost equal to it. The rate
        to confirm, ``center``, stays.
        """
        _, unstable = self.search.divergence_edge(searched)
        if unstable is None or unstable <= center:
            unstable = math.inf
        tolerance = min(RATE_TOLERANCE, (self._ratio - 1) / 4)
        tried = sorted({rate for rate, _ in searched})
        kept = {center}
        for rate in rates:
            alike = (one for one in tried if math.isclose(one, rate, rel_tol=tolerance))
            kept.add(center if rate == center else next(alike, rounded(rate)))
        return sorted(rate for rate in kept if rate < unstable)

    def _runs(self, rates: Sequence[float]) -> list[tuple[float, int]]:
        return [(rate, seed) for seed in self.search.seeds for rate in rates]

    def _means(
        self, rates: Sequence[float], searched: Trials, trials: Trials
    ) -> dict[float, float] | None:
        """Return the mean losses of those rates that train; None while runs are missing."""
        runs = self._runs(rates)
        if not self.search.all_final(runs, trials):
            return None
        losses = self.search.losses({**searched, **{run: trials[run] for run in runs}})
        return {rate: mean_loss(losses[rate]) for rate in rates if rate in losses}


def _lowest(rates: Sequence[float], means: Mapping[float, float]) -> float:
    """Return the rate with the lowest mean loss, the lowest rate if none trains."""
    return min(rates, key=lambda rate: means.get(rate, math.inf))
