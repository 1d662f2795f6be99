"""Factorial studies with simulated losses: everything but the training is real."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lmlab.design.factorial import Factorial
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.factorial_report.factorial_study import FactorialStudy
from lmlab.study.run_records import RunRecord, Study

FACTORS: dict[str, Any] = {
    "a": ["model.norm=none"], "b": ["model.pos=nope"], "c": ["model.attention.qk_norm=true"],
    "d": ["optim=muon"],
}  # fmt: skip
START = 3e-3
FIRST_LOSS = 6.0


def a_factorial(**changes: Any) -> Factorial:
    """Return a declaration with four factors, two of which have two lists each or one."""
    fields: dict[str, Any] = {
        "question": "?", "factors": FACTORS, "fraction": 1, "resolution": None, "generators": [],
        "lr": "transfer", "lr_factor": math.sqrt(10), "edge_ratio": None, "confirm_rate": "never",
        "num_seeds": 4, "num_tuning_seeds": 2, "solve_d_ff": False,
        "tolerance": {"parameters": 0.01}, "allow": [], "margin": 0.02, "alpha": 0.05,
        "power": 0.8, "expected_sd": 0.01, "limits": ["All losses are simulated."],
        "metric": "loss", "test": "t",
    }  # fmt: skip
    return Factorial(**(fields | changes))


def a_manifest(factorial: Factorial, contents: Sequence[dict[str, Any]] | None = None) -> Manifest:
    """Return the manifest of a study.

    Args:
        factorial: the declaration.
        contents: configuration of each cell; None for one that has just what searches need.
    """
    content = {
        "optim": {"lr": START}, "seed": 0, "seeds": {"init": 0, "data": 0}, "study": "f",
        "output_root": "outputs", "arm": "x",
    }  # fmt: skip
    cells = list(factorial.arms)
    return Manifest(
        "f", "python -m lmlab.train experiment=f", list(contents or [content] * len(cells)), cells,
        list(factorial.arms.values()), factorial.comparison, factorial=factorial,
    )  # fmt: skip


def best_rate(on: Sequence[str], step: float = 2.0) -> float:
    """The best rate of a cell: ``d`` doubles it, and ``a`` halves it."""
    return float(START * step ** (("d" in on) - ("a" in on)))


def usual_mean(on: Sequence[str]) -> float:
    """``a`` and ``b`` lower the loss, but not both; ``d`` raises it a little."""
    return 3.0 - 0.2 * ("a" in on or "b" in on) + 0.05 * ("d" in on)


def a_loss(
    mean: Callable[[Sequence[str]], float] = usual_mean,
    rate: Callable[[Sequence[str]], float] = best_rate,
    noise: float = 0.004,
) -> Callable[[str, float, int], float]:
    """Return the loss of a run by cell, rate and seed; a seed shifts all cells."""

    def loss(cell: str, lr: float, seed: int) -> float:
        on = [] if cell == "baseline" else cell.split("-")
        away = math.log(lr / rate(on))
        own = random.Random(f"{cell} {seed} {lr}").gauss(0, noise)
        return mean(on) + 0.05 * away**2 + random.Random(seed).gauss(0, 0.05) + own

    return loss


def simulate(
    factorial: Factorial,
    loss: Callable[[str, float, int], float] | None = None,
    status: Callable[[Job], str] = lambda job: "done",
) -> dict[Job, TrialOutcome]:
    """Run a study until nothing more is required, and return the outcomes."""
    manifest, found = a_manifest(factorial), loss or a_loss()
    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [job for job in manifest.required_jobs(outcomes) if job not in outcomes]:
        for job in fresh:
            ended = status(job)
            rate = START if job.lr is None else job.lr
            value = found(job.arm, rate, job.seed) if ended == "done" else None
            outcomes[job] = TrialOutcome(ended, value, FIRST_LOSS)
    return outcomes


def a_study(
    factorial: Factorial,
    loss: Callable[[str, float, int], float] | None = None,
    status: Callable[[Job], str] = lambda job: "done",
) -> FactorialStudy:
    """Return a simulated study as its report reads it."""
    manifest, outcomes = a_manifest(factorial), simulate(factorial, loss, status)
    purposes = manifest.required_jobs(outcomes)
    records = [
        a_record(job, outcome, tuple(purposes.get(job, ["search"])))
        for job, outcome in outcomes.items()
    ]
    return FactorialStudy(Study("f", Path("outputs/f"), manifest, {}, records))


def a_record(job: Job, outcome: TrialOutcome, purposes: tuple[str, ...]) -> RunRecord:
    """Return the record of a run with three evaluations, or with the first one if it diverged."""
    rows = []
    if outcome.is_final:
        losses = [FIRST_LOSS, 4.0, outcome.loss][: 3 if outcome.status == "done" else 1]
        rows = [
            {"kind": "validation", "step": 20 * place, "tokens": 200 * place, "seconds": 1.0,
             "loss": loss}
            for place, loss in enumerate(losses)
        ]  # fmt: skip
    status = {"status": outcome.status, "step": 40, "steps": 40, "tokens": 400, "seconds": 3.0}
    return RunRecord(job, purposes, f"f/{job.name}", status, {}, rows, [], "")
