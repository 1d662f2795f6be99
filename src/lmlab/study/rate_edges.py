"""What an edge of divergence rests on: the seeds and the steps of the runs on both sides of it."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.console.formatting import format_count
from lmlab.design.manifest import Job, Outcomes, tuning_outcomes
from lmlab.study.run_records import Study


def edge_basis(study: Study, arm: str) -> str:
    """State which runs decide that one rate of an arm's search is stable and the next is not.

    Args:
        study: a study that searches learning rates.
        arm: an arm with a search of its own.

    Returns:
        A phrase such as ``0.03 trained with 2 seeds; 0.04 diverged with 1 of 1 seed, at step 23``;
        empty before the first result.
    """
    assert study.manifest is not None
    outcomes: Outcomes = study.outcomes
    search, trials = study.manifest.lr_search(arm), tuning_outcomes(arm, outcomes)
    final = {run: outcome for run, outcome in trials.items() if outcome.is_final}
    stable, unstable = search.divergence_edge(trials)
    parts = []
    if stable is not None:
        seeds = format_count(sum(rate == stable for rate, _ in final), "seed")
        highest = "" if unstable is not None else "every rate tried trained, the highest, "
        parts.append(f"{highest}{stable:g}{',' if highest else ' trained'} with {seeds}")
    if unstable is not None:
        found = {seed: outcome for (rate, seed), outcome in final.items() if rate == unstable}
        of_all = f"of {format_count(len(found), 'seed')}"
        diverged = [seed for seed, outcome in found.items() if outcome.has_diverged]
        if diverged:
            at = at_steps([_last_step(study, Job(arm, unstable, seed)) for seed in diverged])
            parts.append(f"{unstable:g} diverged with {len(diverged)} {of_all}{at}")
        weak = [
            seed
            for seed, outcome in found.items()
            if seed not in diverged and not search.trains(unstable, outcome, trials)
        ]
        if weak:
            parts.append(
                f"{unstable:g} lowered the loss by less than half of the best run's gain with "
                f"{len(weak)} {of_all}"
            )
    return "; ".join(parts)


def at_steps(steps: Sequence[float | None]) -> str:
    """Return ``, at step 5`` or ``, at steps 5, 7 and 9``; empty if a step is not known."""
    known = sorted({round(step) for step in steps if step is not None})
    if not known or None in steps:
        return ""
    *first, last = (f"{step:,}" for step in known)
    return f", at steps {', '.join(first)} and {last}" if first else f", at step {last}"


def _last_step(study: Study, job: Job) -> float | None:
    found = (record for record in study.records if record.job == job)
    return next((record.reached("step") for record in found), None)
