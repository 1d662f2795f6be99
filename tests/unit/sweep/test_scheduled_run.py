"""The state, outcome and progress of a run come from its folder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.run_folder import RunFolder
from lmlab.sweep.scheduled_run import ScheduledRun

RunOf = Callable[..., ScheduledRun]


@pytest.fixture
def run(tmp_path: Path, overrides: list[str]) -> ScheduledRun:
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    return ScheduledRun(Job("a", None, 7), ["run"], compose(overrides), folder, tmp_path / "log")


@pytest.mark.parametrize(
    ("status", "state", "was_finished"),
    [
        (None, "queued", False),
        ("done", "done", True),
        ("diverged", "diverged", True),
        ("failed", "queued", False),
        ("preempted", "queued", False),
        ("running", "queued", False),  # its writer is gone
    ],
)
def test_the_state_of_a_run_without_a_process(
    run: ScheduledRun, status: str | None, state: str, was_finished: bool
) -> None:
    if status is not None:
        run.folder.write_status(status)
    run.refresh_state()
    assert (run.state, run.was_finished) == (state, was_finished)


def test_a_run_that_another_process_writes_is_elsewhere(run: ScheduledRun) -> None:
    with run.folder.lock():
        run.refresh_state()
        assert run.state == "elsewhere" and run.is_open
    run.reason = "a reason of before"
    run.refresh_state()
    assert run.state == "queued"
    run.folder.write_status("done")
    run.refresh_state()
    assert (run.state, run.reason) == ("done", "")


def test_the_outcome_is_that_of_the_last_validation_in_the_metric(run: ScheduledRun) -> None:
    for step, loss in enumerate((9.0, 3.0, 2.0)):
        row = {"kind": "validation", "step": step, "loss": loss, "bits_per_byte": loss / 2}
        run.folder.append_row(row)
    assert run.outcome().loss is None, "not before it is final"
    run.state, run.metric = "done", "bits_per_byte"
    assert (run.outcome().first_loss, run.loss()) == (4.5, 1.0)


def test_a_diverged_run_has_no_loss(run: ScheduledRun) -> None:
    run.folder.append_row({"kind": "validation", "step": 0, "loss": 9.0})
    run.folder.append_row({"kind": "validation", "step": 1, "loss": math.nan})
    run.state = "diverged"
    assert run.loss() is None
    assert run.outcome().is_final


def test_the_time_left_follows_from_the_speed_so_far(run: ScheduledRun) -> None:
    assert run.progress() == (0.0, None)
    run.folder.write_status("preempted", step=25, steps=100, seconds=50.0)
    assert run.progress() == (0.25, None), "a waiting run has no speed"
    run.state = "running"
    assert run.progress() == (0.25, pytest.approx(150.0))


def test_only_a_failed_run_has_a_failure(run: ScheduledRun) -> None:
    run.reason = "stopping"
    assert run.failure is None
    run.state = "failed"
    assert run.failure is not None
    assert run.failure.reason == "stopping"


def test_runs_of_a_sweep_that_share_arm_and_seed_have_different_keys(run: ScheduledRun) -> None:
    import dataclasses

    twin = dataclasses.replace(run, job=dataclasses.replace(run.job, number=1))
    assert run.job.name == twin.job.name
    assert run.key != twin.key
