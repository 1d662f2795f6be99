"""A run's own failure, a cancelled job and a killed job are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.design.job import Job
from lmlab.errors import LockedError
from lmlab.run_folder import RunFolder
from lmlab.sweep.executor import JobResult
from lmlab.sweep.job_outcome import JobEnd, classify_outcome
from lmlab.sweep.submission_records import Assignment, Submission

KILLED = JobEnd("job 4_0 ended: NODE_FAIL")
CANCELLED = JobEnd("job 4_0 was cancelled", was_cancelled=True)


def classify(
    tmp_path: Path, *, status: str = "running", step: int = 10, code: int | None = None,
    end: JobEnd | None = KILLED, attempt: int = 0, step_before: int = 10,
) -> JobResult:  # fmt: skip
    (tmp_path / "run").mkdir()
    (tmp_path / "submission").mkdir()
    folder, submission = RunFolder(tmp_path / "run"), Submission(tmp_path / "submission")
    folder.append_row({"kind": "validation", "step": step, "loss": 2.0})
    folder.write_status(status, step=step)
    if code is not None:
        submission.write_exit_codes(0, {"0.yaml": code})

    def find_job_end() -> JobEnd:
        assert end is not None, "the cluster is not asked if the run has the answer"
        return end

    assignment = Assignment(Job("a", None, 0), "x", "0.yaml", 0, step_before, attempt)
    return classify_outcome(submission, assignment, folder, find_job_end, retries=3)


@pytest.mark.parametrize("status", ["done", "diverged"])
@pytest.mark.parametrize("code", [None, 0, 1])
def test_a_finished_run_counts_whatever_became_of_its_job(
    tmp_path: Path, status: str, code: int | None
) -> None:
    assert classify(tmp_path, status=status, code=code, end=None).state == status


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        (1, "failed", "exited with code 1"),
        (2, "failed", "exited with code 2"),
        (130, "interrupted", "rerun the command to resume"),
        (LockedError.exit_code, "elsewhere", ""),
    ],
)
def test_the_exit_code_of_a_run_decides_before_the_cluster(
    tmp_path: Path, code: int, state: str, reason: str
) -> None:
    result = classify(tmp_path, code=code, end=None)
    assert result.state == state
    assert reason in result.reason


def test_a_cancelled_job_is_not_submitted_again(tmp_path: Path) -> None:
    result = classify(tmp_path, end=CANCELLED, step=99)
    assert result.state == "interrupted"
    assert result.reason == "job 4_0 was cancelled; rerun the command to resume"


@pytest.mark.parametrize(
    ("step", "attempt", "state"),
    [(10, 0, "queued"), (10, 2, "queued"), (10, 3, "failed"), (11, 3, "queued")],
)
def test_a_killed_job_is_submitted_again_while_it_makes_progress(
    tmp_path: Path, step: int, attempt: int, state: str
) -> None:
    result = classify(tmp_path, step=step, attempt=attempt)
    assert result.state == state
    if state == "failed":
        assert result.reason == "job 4_0 ended: NODE_FAIL, 4 times without progress"


def test_a_run_killed_by_a_signal_is_submitted_again(tmp_path: Path) -> None:
    assert classify(tmp_path, code=137).state == "queued"
