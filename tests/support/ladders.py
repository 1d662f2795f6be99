"""Ladders for tests: declarations, manifests, and results with known optima."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.design.ladder import Ladder
from lmlab.design.manifest import Manifest
from lmlab.design.rungs import Rung
from lmlab.design.search import TrialOutcome

Loss = Callable[[int, str, float, int], float]  # rung, arm, rate, seed


def some_rungs(number: int = 4) -> tuple[Rung, ...]:
    """Rungs whose compute grows tenfold and whose size grows threefold."""
    return tuple(
        Rung(
            (f"model.d_model={32 * 2**k}", f"training.steps={100 * 3**k}"),
            d_model=32 * 2**k,
            num_layers=1 + k,
            parameters=20_000 + 10_000 * 3**k,
            hidden_parameters=10_000 * 3**k,
            tokens=200_000 * 3**k,
            flops=10**10 * 10**k,
        )
        for k in range(number)
    )


def a_ladder(number: int = 4, **changes: Any) -> Ladder:
    """Return a ladder of the arms ``base`` and ``new``, with the given changes."""
    fields: dict[str, Any] = {
        "question": "Does it hold?",
        "analysis": "gains",
        "arms": {"base": [], "new": ["model.norm=post"]},
        "baseline": "base",
        "replicate": None,
        "lr": "fixed",
        "search_rungs": 2,
        "at_lowest_lr": False,
        "lr_factor": math.sqrt(10),
        "edge_ratio": None,
        "confirm_rate": "never",
        "num_seeds": 3,
        "num_tuning_seeds": 1,
        "solve_d_ff": False,
        "tolerance": {},
        "allow": [],
        "alpha": 0.1,
        "margin": 0.05,
        "steady": 0.5,
        "power": 0.8,
        "max_factor": 10.0,
        "entropy": 0.0,
        "expected_sd": 0.01,
        "loss_margin": 0.02,
        "limits": [],
        "rungs": some_rungs(number),
    }
    return Ladder(**fields | changes)


@functools.cache
def _base_config() -> dict[str, Any]:
    return compose(["scale=smoke", "study=ladder"]).as_dict()


def a_ladder_manifest(ladder: Ladder | None = None, output_root: str = "outputs") -> Manifest:
    """Return the manifest of a ladder whose arms have the configurations of the smoke scale."""
    ladder = a_ladder() if ladder is None else ladder
    cells = [cell for cell, (_, arm) in ladder.cells.items() if arm in ladder.arms]
    arms = [{**_base_config(), "design": None, "output_root": output_root} for _ in cells]
    return Manifest("ladder", "cmd", arms, cells, [[] for _ in cells], ladder=ladder)


def power_law(rung: int, arm: str, rate: float, seed: int) -> float:
    """A loss that falls with compute; ``new`` needs 1.5 times less, at its best rate of 3e-3."""
    gain = 1.5 if arm == "new" else 1.0
    shared, own = (
        np.random.default_rng([1, seed, rung, number]).normal() for number in (0, 1 + len(arm))
    )
    noise = 0.008 * shared + 0.004 * own
    off = math.log(rate / 3e-3) ** 2
    return 1.5 + 20 * (gain * 10.0 ** (10 + rung)) ** -0.1 + 0.02 * off + noise


def finish_ladder(
    manifest: Manifest, loss: Loss = power_law, num_open: int | None = None
) -> dict[Job, TrialOutcome]:
    """Return results of every run that a ladder requires.

    Runs at rates above 0.1 diverge, and those whose loss is not a number.
    """
    ladder = manifest.ladder
    assert ladder is not None
    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [
        job for job in manifest.required_jobs(outcomes, (), num_open) if job not in outcomes
    ]:
        for job in fresh:
            rung, arm = ladder.cells[job.arm]
            rate = 3e-3 if job.lr is None else job.lr
            final = loss(rung, arm, rate, job.seed)
            has_diverged = rate > 0.1 or math.isnan(final)
            outcomes[job] = (
                TrialOutcome("diverged", None, 9.0)
                if has_diverged
                else TrialOutcome("done", final, 9.0)
            )
    return outcomes
