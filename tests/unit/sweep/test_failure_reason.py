"""The most specific reason of a failure is reported in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.run_folder import RunFolder
from lmlab.sweep.executor import JobResult
from lmlab.sweep.failure_reason import find_failure_reason
from lmlab.sweep.scheduled_run import ScheduledRun

EXITED = JobResult("failed", "exited with code 3 before the run was done", 3)


@pytest.fixture
def run(tmp_path: Path, overrides: list[str]) -> ScheduledRun:
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    return ScheduledRun(Job("a", None, 7), ["run"], compose(overrides), folder, tmp_path / "log")


def test_the_run_folder_has_the_last_line_of_a_traceback(run: ScheduledRun) -> None:
    run.folder.write_status("failed", reason="Traceback\n  line\nValueError: broken" + "!" * 400)
    run.folder.log.write_text("traceback")
    reason = find_failure_reason(run, EXITED)
    assert reason.startswith("ValueError: broken!!")
    assert len(reason) == 300
    assert run.log == run.folder.log


def test_the_reason_of_an_earlier_session_is_not_that_of_this_one(run: ScheduledRun) -> None:
    run.folder.write_status("running", reason="ValueError: earlier")
    assert find_failure_reason(run, EXITED) == EXITED.reason


def test_a_run_that_ended_well_without_its_result_says_what_is_lost(run: ScheduledRun) -> None:
    run.folder.append_row({"kind": "validation", "step": 10, "loss": 2.0})
    run.folder.write_status("done", step=20, steps=20)
    ended = JobResult("failed", "exited with code 0 before the run was done", 0)
    expected = "metrics.jsonl lacks the evaluation at step 20, the last one"
    assert find_failure_reason(run, ended) == expected


def test_a_refused_run_reports_its_error_alone(run: ScheduledRun) -> None:
    run.log.write_text("starting\nerror: model.d_ff=-1: expected 1 or more\n")
    reason = find_failure_reason(run, JobResult("failed", "exited with code 2", 2))
    assert reason == "model.d_ff=-1: expected 1 or more"


def test_the_help_of_an_error_follows_it_in_the_same_line(run: ScheduledRun) -> None:
    run.log.write_text(
        "error: model.norm=psot: expected one of rms, post\nhelp: did you mean post?"
    )
    expected = "model.norm=psot: expected one of rms, post; did you mean post?"
    assert find_failure_reason(run, JobResult("failed", "exited with code 2", 2)) == expected
    run.folder.write_status("failed", reason="a.b=1: wrong\nhelp: set a.b=2")
    assert find_failure_reason(run, EXITED) == "a.b=1: wrong; set a.b=2"


def test_the_end_of_the_log_explains_an_exit_but_not_a_kill(run: ScheduledRun) -> None:
    run.log.write_text("step 1\nbye\n")
    assert find_failure_reason(run, EXITED) == f"{EXITED.reason}; its log ends: bye"
    killed = JobResult("failed", "killed by signal 9 (SIGKILL)", -9)
    assert find_failure_reason(run, killed) == killed.reason
