"""A study on disk with simulated losses: everything but the training is real."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.comparison import Comparison
from lmlab.design.fairness import ArmCosts
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder
from lmlab.study.write_report import write_report

UNSAFE_TEXT = "</script><b>bold</b> & 'quotes' \u2028 牛乳"
ARMS = {
    "rms": ["model.norm=rms"],
    "post": ["model.norm=post"],
    "none": ["model.norm=none"],
}
_EFFECT = {"rms": 0.0, "post": 0.2, "none": -0.1, "again": 0.0}


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    design = Comparison(
        question="Which one?", arms=ARMS, baseline="rms", replicate="again", lr="search",
        lr_factor=math.sqrt(10), edge_ratio=1.5, at_baseline_lr=True, num_seeds=5,
        num_tuning_seeds=2, extra_seeds=0, hold_tokens=False, solve_d_ff=False, tolerance={},
        allow=[], margin=0.02, alpha=0.05, power=0.8, expected_sd=0.01,
        limits=["All losses are simulated."],
    )  # fmt: skip
    configs = [
        compose([*overrides, "study=norms", "logger=none", "seed=0"]) for overrides in ARMS.values()
    ]
    arms = [config.as_dict() | {"design": None} for config in configs]
    command = "python -m lmlab.train experiment=norms"
    return Manifest("norms", command, arms, list(ARMS), list(ARMS.values()), design)


@pytest.fixture(scope="session")
def finished_study(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study; do not write to it."""
    return write_simulated_study(manifest, tmp_path_factory.mktemp("finished"), 10_000)


@pytest.fixture
def finished(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study."""
    return Path(shutil.copytree(finished_study, tmp_path / "outputs" / "norms"))


@pytest.fixture(scope="session")
def reported_study(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study with its report; do not write to it."""
    outputs = tmp_path_factory.mktemp("reported") / "outputs"
    study = Path(shutil.copytree(finished_study, outputs / "norms"))
    write_report(study)
    return study


@pytest.fixture
def reported(reported_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study with its report."""
    return Path(shutil.copytree(reported_study.parent, tmp_path / "outputs"), "norms")


@pytest.fixture
def write_study(tmp_path: Path, manifest: Manifest) -> Callable[..., Path]:
    """Return a function that writes the first runs of the study and returns its folder."""

    def write(max_runs: int, fail: str = "") -> Path:
        return write_simulated_study(manifest, tmp_path / "outputs", max_runs, fail)

    return write


def write_simulated_study(manifest: Manifest, root: Path, max_runs: int, fail: str = "") -> Path:
    """Write the runs that the study requires, at most ``max_runs``; the run ``fail`` fails."""
    sweep = SweepFolder.of(manifest, root)
    sweep.write_manifest(manifest)
    costs = ArmCosts(1000, 2000, 64000, 1000, 4, 16, 512, 11, "d" * 64, "t" * 64, 64)
    sweep.write_arm_costs({arm: costs.as_dict() for arm in manifest.names})
    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [job for job in manifest.required_jobs(outcomes) if job not in outcomes]:
        wanted = manifest.required_jobs(outcomes)
        for job in fresh:
            content = manifest.job_config(job)
            run = RunFolder(root / content["study"] / content["arm"] / f"seed{job.seed}")
            sweep.add_entry(job, wanted[job], run)
            if len(outcomes) < max_runs:
                losses = write_run(run, job, job.name == fail)
                outcomes[job] = outcome_from_losses(str(run.status()["status"]), losses)
        if len(outcomes) >= max_runs or not all(o.is_final for o in outcomes.values()):
            break
    return sweep.study_folder


def write_run(run: RunFolder, job: Job, fails: bool) -> list[float]:
    """Write the files of a run; arm, rate and seed determine its losses, which are returned."""
    assert job.lr is not None
    rng = random.Random(f"{job.arm} {job.lr} {job.seed}")
    distance = math.log(job.lr / 6e-3)
    diverges = distance > 2
    final = 3 + _EFFECT[job.arm] + 0.05 * distance**2 + rng.gauss(0, 0.004)
    losses = []
    shutil.rmtree(run.path, ignore_errors=True)  # of an earlier sweep of the study
    run.path.mkdir(parents=True)
    rows = []
    for step in range(0, 1001, 200):
        loss = final + 4 * math.exp(-step / 150)
        if diverges and step > 500:
            loss = math.nan
        row: dict[str, Any] = {"step": step, "tokens": 64 * step, "seconds": step / 50}
        rows.append(row | {"kind": "train", "loss": loss, "lr": job.lr, "grad_norm": loss / 4,
                           "tokens_per_second": 3200.0})  # fmt: skip
        rows.append(row | {"kind": "validation", "loss": loss, "bits_per_byte": loss / 3})
        losses.append(loss)
        if math.isnan(loss):
            break
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run.path / "metrics.jsonl").write_text(text, "utf-8")
    status = "failed" if fails else "diverged" if diverges else "done"
    reason = "Traceback\nValueError: simulated" if fails else "loss is nan" if diverges else ""
    run.write_status(status, step=step, steps=1000, tokens=64 * step, seconds=20.0, reason=reason)
    session = {"time": "2026-01-01T00:00:00Z", "device": "cpu", "platform": "test",
               "python": "3", "versions": {"torch": "2"}, "code": {"commit": "c" * 40}}  # fmt: skip
    run.write_meta(
        {"identity": {"run": job.name}, "forward_flops_per_token": 2000, "sessions": [session]}
    )
    text = f"One day {UNSAFE_TEXT} {job.arm}"
    run.samples.write_text(
        f"# Samples\n\n```text\nOnce upon a time {text}\n```\n\n```text\nOne day {text}\n```\n",
        "utf-8",
    )
    return losses
