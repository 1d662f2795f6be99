"""The runs that a ladder requires, given the outcomes so far.

On a rung they are those of a comparison. Between rungs, learning rates may be transferred, and the
highest rung may have to wait until its forecast is sealed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lmlab.design.job import Job, Outcomes
from lmlab.design.ladder import TRANSFER, Ladder, cell_name
from lmlab.design.search import rounded

if TYPE_CHECKING:
    from lmlab.design.manifest import Manifest

JUDGED, BRACKET, LOWEST_RATE = "judged", "bracket", "lowest rung's lr"


def required_on_ladder(
    manifest: Manifest, outcomes: Outcomes, num_open: int
) -> dict[Job, list[str]]:
    """Return the runs that the outcomes so far call for, each with its purposes.

    Args:
        manifest: of a ladder.
        outcomes: outcomes of the runs so far.
        num_open: number of rungs, from the lowest, whose runs may start.
    """
    ladder = manifest.ladder
    assert ladder is not None
    required: dict[Job, list[str]] = {}

    def require(job: Job, purpose: str) -> None:
        purposes = required.setdefault(job, [])
        if purpose not in purposes:
            purposes.append(purpose)

    for rung in range(num_open):
        if ladder.lr != TRANSFER or ladder.searches(rung):
            for job, purposes in manifest.rungs[rung].required_jobs(outcomes).items():
                for purpose in purposes:
                    require(job, purpose)
        else:
            for job, purpose in _at_transferred_rates(manifest, rung, outcomes):
                require(job, purpose)
    if ladder.at_lowest_lr and num_open == len(ladder.rungs):
        for job in _at_lowest_rates(manifest, outcomes):
            require(job, LOWEST_RATE)
    return required


def judged_rate(manifest: Manifest, cell: str, outcomes: Outcomes) -> float | None:
    """Return the learning rate at which a cell is judged; None while it is not known."""
    ladder = manifest.ladder
    assert ladder is not None
    rung, arm = ladder.cells[cell]
    if ladder.lr != TRANSFER or ladder.searches(rung):
        return manifest.rungs[rung].judged_lr(cell, outcomes)
    rates = searched_rates(manifest, arm, outcomes)
    if None in rates:
        return None
    sizes = [one.hidden_parameters for one in ladder.rungs]
    known = [rate for rate in rates if rate is not None]
    return rounded(transferred_rate(sizes[: len(known)], known, sizes[rung]))


def searched_rates(manifest: Manifest, arm: str, outcomes: Outcomes) -> list[float | None]:
    """Return the best rate of an arm on each rung that searches, None where it is not known."""
    ladder = manifest.ladder
    assert ladder is not None
    return [
        manifest.rungs[rung].judged_lr(cell_name(rung, arm), outcomes)
        for rung in range(len(ladder.rungs))
        if ladder.searches(rung)
    ]


def has_no_rate(manifest: Manifest, cell: str, outcomes: Outcomes) -> bool:
    """Return whether every rate of a search that the rate of a cell comes from diverged."""
    ladder = manifest.ladder
    assert ladder is not None
    rung, arm = ladder.cells[cell]
    if ladder.searches(rung):
        return manifest.rungs[rung].is_untrainable(cell, outcomes)
    return any(
        manifest.rungs[lower].is_untrainable(cell_name(lower, arm), outcomes)
        for lower in range(len(ladder.rungs))
        if ladder.searches(lower)
    )


def transferred_rate(sizes: Sequence[float], rates: Sequence[float], size: float) -> float:
    """Return the rate at a size by the power law through the best rates of other sizes.

    A straight line in log(rate) against log(size), by least squares with equal weights; the mean of
    a single rate is the rate.

    Args:
        sizes: of the rungs that were searched, such as numbers of parameters.
        rates: their best rates.
        size: of another rung.
    """
    x, y = [math.log(one) for one in sizes], [math.log(one) for one in rates]
    x_mean, y_mean = math.fsum(x) / len(x), math.fsum(y) / len(y)
    spread = math.fsum((one - x_mean) ** 2 for one in x)
    covariance = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    slope = covariance / spread if spread else 0.0
    return math.exp(y_mean + slope * (math.log(size) - x_mean))


def bracket_rates(rate: float, factor: float) -> list[float]:
    """Return the rates that bracket a transferred one, half a grid step to either side."""
    step = math.sqrt(factor)
    return [rounded(rate / step), rate, rounded(rate * step)]


def is_complete_below(manifest: Manifest, outcomes: Outcomes, num_rungs: int) -> bool:
    """Return whether every run of the lowest ``num_rungs`` rungs has finished."""
    required = required_on_ladder(manifest, outcomes, num_rungs)
    return all(job in outcomes and outcomes[job].is_final for job in required)


def _at_transferred_rates(
    manifest: Manifest, rung: int, outcomes: Outcomes
) -> list[tuple[Job, str]]:
    """Return the runs of a rung above those that search, with what each is for."""
    ladder = manifest.ladder
    assert ladder is not None
    jobs = []
    for arm in ladder.judged_arms:
        cell = cell_name(rung, arm)
        rate = judged_rate(manifest, cell, outcomes)
        if rate is None:
            continue
        seeds = manifest.rungs[rung].evaluation_seeds(cell)
        jobs += [(Job(cell, rate, seed), JUDGED) for seed in seeds]
        if arm in ladder.arms and rung == len(ladder.rungs) - 1:
            # They tune nothing, so that they may share seeds, and runs, with the verdict.
            jobs += [
                (Job(cell, one, seed), BRACKET)
                for one in bracket_rates(rate, ladder.lr_factor)
                for seed in seeds[: ladder.num_tuning_seeds]
            ]
    return jobs


def _at_lowest_rates(manifest: Manifest, outcomes: Outcomes) -> list[Job]:
    """Return the runs of the highest rung at the best rate of the lowest."""
    ladder = manifest.ladder
    assert ladder is not None
    top = len(ladder.rungs) - 1
    jobs = []
    for arm in ladder.arms:
        rate = judged_rate(manifest, cell_name(0, arm), outcomes)
        cell = cell_name(top, arm)
        if rate is not None:
            jobs += [Job(cell, rate, s) for s in manifest.rungs[top].evaluation_seeds(cell)]
    return jobs


def describe_rates(ladder: Ladder) -> str:
    """State in one sentence where the learning rates of a ladder come from."""
    if ladder.lr == "fixed":
        return "Every run is trained at its configured learning rate."
    if ladder.lr == "search":
        return "The learning rate of each arm is searched on every rung."
    return (
        f"The learning rate of each arm is searched on the lowest {ladder.search_rungs} rungs, "
        "predicted above by a power law of the size, and bracketed at the highest rung."
    )
