"""The sentence of an arm's best learning rate: its distance to the edge, and how sure it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from lmlab.console.formatting import format_count, format_list
from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.study.rate_edges import RateRuns, edge_name, runs_by_rate, stable_edge
from lmlab.study.run_records import Study
from lmlab.study.verdicts import final_losses

_ERROR = (
    " (of the difference of two means over these seeds, from the standard deviation of the judged "
    "runs)"
)


def describe_best_rate(manifest: Manifest, study: Study, arm: str) -> str:
    """State the best rate of an arm, how far it is below the edge, and what the noise hides."""
    rate = manifest.judged_lr(arm, study.outcomes)
    if rate is None:
        if manifest.is_untrainable(arm, study.outcomes):
            return f"{arm}: every learning rate tried diverged."
        return f"{arm}: the learning rate search has found no rate yet."
    rows = runs_by_rate(study, arm)
    stable, unstable = stable_edge(rows)
    sentence = f"{arm}: the best peak learning rate is {rate:g}"
    alike = _indistinct_rates(manifest, study, arm)
    if unstable is None:
        return f"{sentence}; all rates tried, up to {stable:g}, were stable.{alike}"
    if stable is None or math.sqrt(stable * unstable) <= rate:
        return (
            f"{sentence}; the lowest unstable rate, {unstable:g}, is no safe distance above it."
            f"{alike}"
        )
    edge = math.sqrt(stable * unstable)
    return (
        f"{sentence}, a factor of about {_two_digits(edge / rate)} below the {edge_name(rows)} at "
        f"about {_two_digits(edge)} ({_meaning(rows, stable, unstable)}).{alike}"
    )


def _meaning(rows: Sequence[RateRuns], stable: float, unstable: float) -> str:
    """State what the edge means, and how many seeds it rests on."""
    by_rate = {row.rate: row for row in rows}
    row = by_rate[unstable]
    event = (
        "a run diverged" if row.diverged else "half of the loss reduction of the best run is lost"
    )
    numbers = by_rate[stable].number, row.number
    seeds = (
        f"{format_count(numbers[0], 'seed')} each"
        if numbers[0] == numbers[1]
        else f"{numbers[0]} and {format_count(numbers[1], 'seed')}"
    )
    return f"between {stable:g} and {unstable:g}, where {event}; {seeds}"


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def _indistinct_rates(manifest: Manifest, study: Study, arm: str) -> str:
    """State which searched rates are within two standard errors of the lowest mean loss."""
    losses = final_losses(manifest, study.outcomes, arm)
    by_rate: dict[float, list[float]] = {}
    for (rate, _), outcome in tuning_outcomes(arm, study.outcomes).items():
        if outcome.loss is not None:
            by_rate.setdefault(rate, []).append(outcome.loss)
    seeds = max(map(len, by_rate.values()), default=0)
    means = {rate: statistics.fmean(one) for rate, one in by_rate.items() if len(one) == seeds}
    how = f" {_origin(manifest, study, arm)}"
    if len(losses) < 2 or not means:
        return how
    best = min(means, key=lambda rate: means[rate])
    error = statistics.stdev(losses) * math.sqrt(2 / seeds)
    alike = [f"{rate:g}" for rate in sorted(means) if means[rate] <= means[best] + 2 * error]
    return (
        f"{how} Noise does not distinguish the searched rates {format_list(alike)}: the means of "
        f"their {format_count(seeds, 'seed')} are within two standard errors of the lowest one"
        f"{_ERROR}."
        if len(alike) > 1
        else f"{how} No other searched rate is within two standard errors of the lowest mean "
        f"loss{_ERROR}."
    )


def _origin(manifest: Manifest, study: Study, arm: str) -> str:
    """State how the best rate follows from the rates that were tried."""
    found = manifest.lr_search(arm).confirmation(tuning_outcomes(arm, study.outcomes))
    if found is None or found.rate == found.searched:
        confirmed = ", confirmed by runs at it and beside it" if found and found.fitted else ""
        return (
            "It is the minimum of a parabola through the best searched rate and its neighbours"
            f"{confirmed}."
        )
    if found.rate in found.rates:
        return f"It is the best of the rates that were run to confirm {found.searched:g}."
    return (
        "It is the minimum of a parabola through the rates that were run to confirm "
        f"{found.searched:g}."
    )
