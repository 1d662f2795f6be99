"""Reasons to doubt that the learning rate at which an arm is judged is its best one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection

from lmlab.console.formatting import format_count, format_list
from lmlab.design.manifest import tuning_outcomes
from lmlab.study.rate_basin import basin_caution
from lmlab.study.rate_edges import runs_by_rate, stable_edge
from lmlab.study.run_records import Study
from lmlab.study.verdicts import final_losses

_ERRORS = 3.0  # standard errors from which judged runs are called worse than searched ones


def rate_cautions(study: Study, arm: str) -> list[str]:
    """Return why the best rate of an arm may not be its best; empty without a reason.

    The search judges rates by its own runs. A run with another seed can fail at a rate that the fit
    rests on, the runs that judge an arm can be worse than those of the search, and its parabola can
    miss the minimum.

    Args:
        study: a study that searches learning rates.
        arm: an arm with a search of its own.

    Returns:
        Phrases without a full stop, the strongest reason first, such as ``it was fitted
        through 0.0169, although a run failed at 0.0128``.
    """
    manifest = study.manifest
    assert manifest is not None
    trials = tuning_outcomes(arm, study.outcomes)
    _, unstable = stable_edge(runs_by_rate(study, arm))
    fitted = manifest.lr_search(arm).fitted_rates(trials)
    reasons = []
    if unstable is not None:
        beyond = [f"{rate:g}" for rate in sorted(fitted) if rate >= unstable]
        if beyond:
            reasons.append(
                f"it was fitted through {format_list(beyond)}, although a run failed at "
                f"{unstable:g}"
            )
    searched = _searched(study, arm, fitted)
    judged = final_losses(manifest, study.outcomes, arm)
    if searched is not None and len(judged) > 1:
        rate, losses = searched
        excess = statistics.fmean(judged) - statistics.fmean(losses)
        error = statistics.stdev(judged) * math.sqrt(1 / len(judged) + 1 / len(losses))
        if excess > (0 if reasons else _ERRORS * error):
            reasons.append(
                f"the judged runs average {statistics.fmean(judged):.4f} "
                f"({format_count(len(judged), 'seed')}), those of the search at {rate:g} "
                f"{statistics.fmean(losses):.4f} ({format_count(len(losses), 'other seed')})"
            )
    if caution := basin_caution(study, arm):
        reasons.append(caution)
    return reasons


def _searched(
    study: Study, arm: str, fitted: Collection[float]
) -> tuple[float, list[float]] | None:
    """Return the best fitted rate of the search and the losses there; None without any."""
    losses: dict[float, list[float]] = {}
    for (rate, _), outcome in tuning_outcomes(arm, study.outcomes).items():
        if rate in fitted and outcome.loss is not None:
            losses.setdefault(rate, []).append(outcome.loss)
    if not losses:
        return None
    best = min(losses, key=lambda rate: statistics.fmean(losses[rate]))
    return best, losses[best]
