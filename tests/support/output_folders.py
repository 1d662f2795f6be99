"""An output folder with runs of every status, other files, and a cache."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from fake_slurm import FakeSlurm

from lmlab.design.job import Job
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder

DAY = 86400.0


def make_run(root: Path, name: str, status: str, age_days: float = 0.0) -> Path:
    run = RunFolder(root / name)
    run.write_meta({"identity": {}})
    run.write_status(status, step=5, steps=10)
    run.config.write_text("seed: 0\n")
    run.append_row({"kind": "validation", "step": 5, "loss": 1.25})
    for folder in ("step_00000005", "step_00000004", "best_00000004"):
        (run.checkpoints / folder).mkdir(parents=True)
        (run.checkpoints / folder / "model.safetensors").write_bytes(b"x" * 10_000)
    then = time.time() - age_days * DAY
    for path in run.path.rglob("*"):
        os.utime(path, (then, then))
    return run.path


def make_outputs(folder: Path) -> Path:
    """Write four runs, a folder that is not a run, and a cache; return the output folder."""
    root = folder / "outputs"
    make_run(root, "s/a/seed0", "done", age_days=10)
    make_run(root, "s/a/seed1", "failed")
    make_run(root, "s/b/seed0", "diverged", age_days=3)
    make_run(root, "t/c/seed0", "running")  # its writer has exited
    (root / "notes").mkdir()
    (root / "notes" / "config.yaml").write_text("not a run")
    (root / "cache" / "tokens" / "abc").mkdir(parents=True)
    (root / "cache" / "tokens" / "abc" / "train.bin").write_bytes(b"x" * 5000)
    return root


def use(root: Path, study: str, place: str) -> SweepFolder:
    """Let a sweep of a study use a run."""
    sweep = SweepFolder(root / study / "sweeps" / "id")
    sweep.path.mkdir(parents=True, exist_ok=True)
    (sweep.path / "manifest.json").write_text("{}")
    sweep.add_entry(Job(Path(place).parts[-2], None, 0), ["judged"], RunFolder(root / place))
    return sweep


def queue(slurm: FakeSlurm, sweep: SweepFolder, arm: str) -> None:
    """Let the job of an arm wait in the queue of Slurm."""
    array = sweep.path / "slurm" / "token"
    array.mkdir(parents=True)
    job = {"arm": arm, "lr": None, "seed": 0}
    run = {"job": job, "identity": "x", "frozen": "0.yaml", "index": 0}
    submission = {"name": "s-token", "job_id": "7", "time": "2026", "runs": [run]}
    (array / "submission.json").write_text(json.dumps(submission))
    slurm.show_jobs(("s-token", 0, "PENDING", "Priority"))
