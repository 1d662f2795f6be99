"""The program of an array's job, started as a batch script starts it, with a fake scontrol."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from lmlab.config.compose import compose, to_yaml
from lmlab.design.job import Job
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm.slurm_records import run_owners, submission_records
from lmlab.sweep.submission_records import Assignment, Submission

Submit = Callable[..., Submission]
LONG = ["training.steps=1000000", "validation.every_steps=1000000",
        "checkpoint.every_steps=1000000"]  # fmt: skip


@pytest.fixture
def submit(tmp_path: Path, overrides: list[str]) -> Submit:
    """Writes the record of a submission whose only job has these runs."""

    def write(*runs: list[str]) -> Submission:
        sweep = SweepFolder(tmp_path / "outputs" / "runs" / "sweeps" / "id")
        submission = submission_records(sweep).create()
        owners, assignments = run_owners(tmp_path / "outputs"), []
        for number, more in enumerate(runs):
            config = compose([*overrides, f"seed={number}", "runtime.preflight=off", *more])
            (submission.folder / f"{number}.yaml").write_text(to_yaml(config))
            assignments.append(
                Assignment(Job("a", None, number), f"x{number}", f"{number}.yaml", 0)
            )
            owners.set_owner(f"x{number}", submission, 0)
        submission.write("runs", None, assignments)
        return submission

    return write


def start_job(submission: Submission) -> subprocess.Popen[str]:
    environment = os.environ | {"SLURM_ARRAY_JOB_ID": "81", "SLURM_ARRAY_TASK_ID": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "lmlab.sweep.slurm.array_job", str(submission.folder)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def run_job(submission: Submission) -> tuple[int, str]:
    process = start_job(submission)
    printed, _ = process.communicate(timeout=120)
    return process.returncode, printed


def statuses(submission: Submission) -> dict[str, str]:
    return {
        path.parent.name: path.read_text()
        for path in submission.output_root.glob("runs/*/seed*/status.json")
    }


@pytest.mark.long
def test_a_job_trains_its_run_and_records_its_exit_code(submit: Submit, slurm: FakeSlurm) -> None:
    submission = submit([])
    code, printed = run_job(submission)
    assert code == 0, printed
    assert submission.exit_codes(0) == {"0.yaml": 0}
    assert submission.read()["job_id"] == "81", "the number that the launcher did not record"
    assert '"done"' in statuses(submission)["seed0"]
    assert slurm.calls("scontrol") == []


@pytest.mark.long
def test_runs_that_share_a_job_end_independently(submit: Submit, slurm: FakeSlurm) -> None:
    submission = submit([], ["data.train=/nowhere.txt"])
    code, printed = run_job(submission)
    assert code == 2, printed
    assert submission.exit_codes(0) == {"0.yaml": 0, "1.yaml": 2}
    assert "a/seed1: exited with code 2" in printed
    assert "/nowhere.txt" in (submission.folder / "1.log").read_text()


def test_a_run_that_a_later_submission_owns_is_not_trained(
    submit: Submit, slurm: FakeSlurm
) -> None:
    first, second = submit([]), submit([])
    code, printed = run_job(first)
    assert code == 0
    assert f"a/seed0: now trained by {second.folder.resolve()}; skipping" in printed
    assert statuses(first) == {}


@pytest.mark.long
@pytest.mark.parametrize("runs", [1, 2])
def test_usr2_saves_every_run_and_requeues_the_job(
    submit: Submit, slurm: FakeSlurm, runs: int
) -> None:
    submission = submit(*[LONG] * runs)
    process = start_job(submission)
    deadline = time.monotonic() + 120

    def wait_for(condition: Callable[[], bool]) -> None:
        while not condition():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.1)

    wait_for(
        lambda: (
            sum('"step": 0' not in s and '"step"' in s for s in statuses(submission).values())
            == runs
        )
    )
    process.send_signal(signal.SIGUSR2)
    wait_for(lambda: slurm.calls("scontrol") != [])
    assert slurm.calls("scontrol") == [["requeue", "81_0"]]
    assert all('"preempted"' in status for status in statuses(submission).values())
    process.send_signal(signal.SIGTERM)  # as Slurm ends a requeued job
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    assert submission.exit_codes(0) == {}, "the job has not ended by itself"
