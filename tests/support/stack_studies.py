"""Studies of a stack of changes with simulated losses: everything but the training is real."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from factorial_studies import FIRST_LOSS, a_record

from lmlab.design.job import Job
from lmlab.design.leave_one_out import LeaveOneOut
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.run_records import Study
from lmlab.study.stack_report.stack_study import StackStudy
from lmlab.study.verdicts import judge

CHANGES: dict[str, Any] = {
    "a": ["model.norm=post"], "b": ["model.pos=nope"], "c": ["model.attention.qk_norm=true"],
}  # fmt: skip
# Loss of each arm: a is worth 0.2, b and c can stand in for one another.
MEANS = {"stack": 3.0, "without-a": 3.2, "without-b": 3.0, "without-c": 3.0, "plain": 3.3}


def a_stack(**changes: Any) -> LeaveOneOut:
    """Return a declaration with three changes."""
    fields: dict[str, Any] = {
        "question": "?", "changes": CHANGES, "replicate": None, "lr": "fixed", "lr_factor": 3.16,
        "edge_ratio": None, "confirm_rate": "never", "num_seeds": 5, "num_tuning_seeds": 1,
        "extra_seeds": 0, "solve_d_ff": False, "tolerance": {"parameters": 0.01}, "allow": [],
        "margin": 0.02, "alpha": 0.05, "power": 0.8, "expected_sd": 0.01, "limits": [],
        "metric": "loss", "test": "t",
    }  # fmt: skip
    return LeaveOneOut(**(fields | changes))


def stack_manifest(design: LeaveOneOut, contents: list[dict[str, Any]] | None = None) -> Manifest:
    """Return the manifest of a study; see :func:`factorial_studies.a_manifest`."""
    content = {
        "optim": {"lr": 3e-3}, "seed": 0, "seeds": {"init": 0, "data": 0}, "study": "s",
        "output_root": "outputs", "arm": "x",
    }  # fmt: skip
    return Manifest(
        "s", "python -m lmlab.train experiment=s", contents or [content] * len(design.arms),
        list(design.arms), list(design.arms.values()), design.comparison, leave_one_out=design,
    )  # fmt: skip


def stack_study(
    design: LeaveOneOut | None = None,
    means: dict[str, float] = MEANS,
    status: Callable[[Job], str] = lambda job: "done",
    contents: list[dict[str, Any]] | None = None,
) -> StackStudy:
    """Return a simulated study as its report reads it."""
    manifest = stack_manifest(design or a_stack(), contents)
    required = manifest.required_jobs({})
    outcomes = {}
    for job in required:
        noise = random.Random(job.seed).gauss(0, 0.05) + random.Random(job.name).gauss(0, 0.003)
        ended = status(job)
        loss = means[job.arm] + noise if ended == "done" else None
        outcomes[job] = TrialOutcome(ended, loss, FIRST_LOSS)
    records = [a_record(job, one, tuple(required[job])) for job, one in outcomes.items()]
    study = Study("s", Path("outputs/s"), manifest, {}, records)
    return StackStudy(study, judge(manifest, study.outcomes))
