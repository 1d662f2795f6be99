"""Which learning rates of an arm are stable, and what that rests on: every run of the arm."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from lmlab.console.formatting import format_count, format_list
from lmlab.design.manifest import tuning_outcomes
from lmlab.design.search import FAILED_TO_LEARN
from lmlab.study.run_records import RunRecord, Study

STABLE, DIVERGED, FAILED, BEYOND = "stable", "diverged", FAILED_TO_LEARN, "beyond"
NEAR = 0.1  # of the gain: a final loss this close to the limit is called near


@dataclasses.dataclass(frozen=True)
class RateRuns:
    """The finished runs of an arm at one learning rate, whatever the study needs them for.

    Attributes:
        rate: peak learning rate.
        trained: runs that trained.
        diverged: runs that diverged.
        failed: runs that lowered the loss by less than half as much as the best run did.
        limit: highest final loss at which a run still counts as trained, where half of the gain of
            the best searched run is lost; None if it is not known.
        gain: how much the best searched run lowered the loss; None if it is not known.
    """

    rate: float
    trained: list[RunRecord]
    diverged: list[RunRecord]
    failed: list[RunRecord]
    limit: float | None = None
    gain: float | None = None

    @property
    def number(self) -> int:
        """Number of runs."""
        return len(self.trained) + len(self.diverged) + len(self.failed)

    @property
    def is_stable(self) -> bool:
        """Whether every run trained."""
        return not self.diverged and not self.failed


def runs_by_rate(study: Study, arm: str) -> list[RateRuns]:
    """Return the finished runs of an arm by learning rate, ascending.

    A search decides on the runs of its own; a rate is reported as stable only if the runs that
    judge the arm trained as well. A run far below the best rate may gain little only because its
    rate is low, so it counts as failed only where a run with the same or a lower rate did learn.

    Args:
        study: a study that searches learning rates.
        arm: an arm with a search of its own.
    """
    trials = tuning_outcomes(arm, study.outcomes)
    best = min((one.loss for one in trials.values() if one.loss is not None), default=None)
    found: dict[float, list[RunRecord]] = {}
    for record in study.records:
        if record.job.arm == arm and record.job.lr is not None and record.outcome.is_final:
            found.setdefault(record.job.lr, []).append(record)

    def has_learned(record: RunRecord) -> bool:
        outcome = record.outcome
        return outcome.loss is not None and (best is None or not outcome.has_collapsed(best))

    learning = [rate for rate, records in found.items() if any(map(has_learned, records))]
    rows = []
    for rate, records in sorted(found.items()):
        diverged = [record for record in records if record.outcome.has_diverged]
        failed = [
            record
            for record in records
            if record not in diverged
            and not has_learned(record)
            and rate >= min(learning, default=rate)
        ]
        trained = [record for record in records if record not in diverged + failed]
        rows.append(RateRuns(rate, trained, diverged, failed, *_half_gain(records, best)))
    return rows


def _half_gain(records: Sequence[RunRecord], best: float | None) -> tuple[float | None, ...]:
    """Return the final loss at which half of the gain is lost, and the gain; None if not known."""
    firsts = [one.outcome.first_loss for one in records if one.outcome.first_loss is not None]
    if best is None or not firsts:
        return None, None
    first = statistics.fmean(firsts)
    return (first + best) / 2, first - best


def stable_edge(rows: Sequence[RateRuns]) -> tuple[float | None, float | None]:
    """Return the highest rate up to which all runs trained, and the lowest at which one did not."""
    lowest = next((row.rate for row in rows if not row.is_stable), None)
    stable = [row.rate for row in rows if lowest is None or row.rate < lowest]
    return (stable[-1] if stable else None), lowest


def edge_name(rows: Sequence[RateRuns]) -> str:
    """Return what to call the edge: one of divergence only where a run diverged beyond it."""
    unstable = next((row for row in rows if not row.is_stable), None)
    diverged = unstable is not None and bool(unstable.diverged)
    return "edge of divergence" if diverged else "edge of stable training"


def rate_states(rows: Sequence[RateRuns]) -> list[tuple[float, str]]:
    """Return the state of each rate.

    ``beyond`` are rates with which all runs trained, above one with which a run did not.
    """
    _, lowest = stable_edge(rows)
    states = []
    for row in rows:
        state = DIVERGED if row.diverged else FAILED if row.failed else STABLE
        is_beyond = state == STABLE and lowest is not None and row.rate > lowest
        states.append((row.rate, BEYOND if is_beyond else state))
    return states


def edge_basis(rows: Sequence[RateRuns]) -> str:
    """State which runs decide that one rate of an arm is stable and the next is not.

    Args:
        rows: result of :func:`runs_by_rate`.

    Returns:
        A phrase such as ``0.03 trained with 2 seeds (final losses 4.512 and 4.530); 0.04 diverged
        with 1 of 1 seed, at step 23``; empty before the first result.
    """
    by_rate = {row.rate: row for row in rows}
    stable, unstable = stable_edge(rows)
    parts = []
    if stable is not None:
        row = by_rate[stable]
        seeds = format_count(row.number, "seed")
        highest = "" if unstable is not None else "every rate tried trained, the highest, "
        parts.append(
            f"{highest}{stable:g}{',' if highest else ' trained'} with {seeds}"
            f"{_final_losses(row, row.trained)}"
        )
    if unstable is not None:
        row = by_rate[unstable]
        of_all = f"of {format_count(row.number, 'seed')}"
        if row.diverged:
            at = at_steps([record.reached("step") for record in row.diverged])
            parts.append(f"{unstable:g} diverged with {len(row.diverged)} {of_all}{at}")
        if row.failed:
            parts.append(
                f"{len(row.failed)} {of_all} failed to learn at {unstable:g}"
                f"{_final_losses(row, row.failed)}"
            )
        above = [
            f"{rate:g}{_final_losses(by_rate[rate], by_rate[rate].trained)}"
            for rate, state in rate_states(rows)
            if state == BEYOND
        ]
        if above:
            parts.append(f"above it, {', '.join(above)} trained")
        if row.limit is not None:
            parts.append(f"a run fails to learn above a final loss of {row.limit:.2f}")
    return "; ".join(parts)


def _final_losses(row: RateRuns, records: Sequence[RunRecord]) -> str:
    """Return the final losses of runs in parentheses, and whether one is near the limit."""
    losses = sorted(one.outcome.loss for one in records if one.outcome.loss is not None)
    if not losses or row.limit is None or row.gain is None:
        return ""
    shown = [f"{loss:.3f}" for loss in losses]
    shown = shown if len(shown) < 3 else [shown[0], shown[-1]]
    text = f"{'final loss' if len(losses) == 1 else 'final losses'} "
    text += (" to " if len(losses) > 2 else " and ").join(shown)
    return f" ({text}{', near the limit' if _is_near(row, records) else ''})"


def _is_near(row: RateRuns, records: Sequence[RunRecord]) -> bool:
    """Return whether a final loss is so close to the limit that the edge depends on it."""
    if row.limit is None or row.gain is None:
        return False
    losses = [one.outcome.loss for one in records if one.outcome.loss is not None]
    return any(abs(loss - row.limit) <= NEAR * row.gain for loss in losses)


def near_edge(rows: Sequence[RateRuns]) -> list[bool]:
    """Return for both rates of :func:`stable_edge` whether they depend on the limit."""
    by_rate, edge = {row.rate: row for row in rows}, stable_edge(rows)
    stable, unstable = (None if rate is None else by_rate[rate] for rate in edge)
    return [
        stable is not None and _is_near(stable, stable.trained),
        unstable is not None and not unstable.diverged and _is_near(unstable, unstable.failed),
    ]


def at_steps(steps: Sequence[float | None]) -> str:
    """Return ``, at step 5`` or ``, at steps 5, 7 and 9``; empty if a step is not known."""
    known = sorted({round(step) for step in steps if step is not None})
    if not known or None in steps:
        return ""
    return f", at {'step' if len(known) == 1 else 'steps'} {format_list(map('{:,}'.format, known))}"
