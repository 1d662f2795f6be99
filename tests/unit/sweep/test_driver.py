"""The order in which the driver starts runs, and what it does with their results."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from recording_executor import RecordingExecutor, write_run

from lmlab.config.compose import compose
from lmlab.design.manifest import Manifest
from lmlab.runs import auto_settings
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import driver as driver_module
from lmlab.sweep.driver import Driver
from lmlab.sweep.executor import JobResult
from lmlab.sweep.progress_view import ProgressView
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.scheduled_run import ScheduledRun

DriverOf = Callable[..., Driver]


def finish_well(run: ScheduledRun) -> JobResult:
    write_run(run, 5.0, 2.0)
    return JobResult("failed", "not read, because the run folder says done")


@pytest.fixture
def driver_of(overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DriverOf:
    """Builds a driver of a plain sweep over the number of training steps."""
    monkeypatch.setattr(driver_module, "_POLL_SECONDS", 0.0)

    def build(executor: RecordingExecutor, steps: list[int]) -> Driver:
        arms = [compose([*overrides, f"training.steps={n}"]).as_dict() for n in steps]
        names = [f"steps-{n}" + "-again" * steps[:at].count(n) for at, n in enumerate(steps)]
        arms = [arm | {"arm": name} for arm, name in zip(arms, names, strict=True)]
        manifest = Manifest("s", "", arms, names, [[] for _ in arms])
        view = ProgressView("s", 1)
        schedule = RunSchedule(
            manifest, SweepFolder(tmp_path / "sweep"), RunDataCache(), auto_settings.build_device,
            executor.attach, view.print_line,
        )  # fmt: skip
        return Driver(schedule, executor, view)

    return build


def test_the_longest_run_starts_first(driver_of: DriverOf) -> None:
    executor = RecordingExecutor(finish_well)
    driver_of(executor, [4, 12, 8]).start_all()
    assert [run.config.training.steps for run in executor.started] == [12, 8, 4]


def test_no_more_runs_start_than_the_executor_has_capacity_for(driver_of: DriverOf) -> None:
    executor = RecordingExecutor(finish_well, capacity=2)
    runs = driver_of(executor, [4, 5, 6, 7, 8]).run()
    assert {run.state for run in runs} == {"done"}
    assert len(executor.started) == 5
    assert executor.most_active == 2


def test_two_arms_that_are_one_run_train_once(driver_of: DriverOf) -> None:
    executor = RecordingExecutor(finish_well)
    runs = driver_of(executor, [4, 4]).run()
    assert len(executor.started) == 1 and executor.most_active == 1
    assert [(run.state, run.reason) for run in runs] == [("done", "")] * 2
    assert runs[0].folder == runs[1].folder


def test_a_failing_run_stops_no_other_and_its_reason_is_recorded(
    driver_of: DriverOf, tmp_path: Path
) -> None:
    def fail_the_longest(run: ScheduledRun) -> JobResult:
        if run.config.training.steps == 8:
            return JobResult("failed", "killed by signal 9")
        return finish_well(run)

    runs = driver_of(RecordingExecutor(fail_the_longest), [4, 8, 6]).run()
    assert [run.state for run in runs] == ["done", "failed", "done"]
    entries = SweepFolder(tmp_path / "sweep").entries()
    failures = [entry.failure.reason if entry.failure else None for entry in entries]
    assert failures == [None, "killed by signal 9", None]


def test_a_queued_result_starts_the_run_again(driver_of: DriverOf) -> None:
    results = [JobResult("queued", "job 1 was killed"), None]

    def kill_once(run: ScheduledRun) -> JobResult:
        return results.pop(0) or finish_well(run)

    executor = RecordingExecutor(kill_once)
    (run,) = driver_of(executor, [4]).run()
    assert (run.state, run.reason) == ("done", "")
    assert len(executor.started) == 2


def test_a_finished_run_is_not_started_again(driver_of: DriverOf) -> None:
    driver_of(RecordingExecutor(finish_well), [4, 8]).run()
    executor = RecordingExecutor(finish_well)
    runs = driver_of(executor, [4, 6, 8]).run()
    assert [run.was_finished for run in runs] == [True, False, True]
    assert [run.config.training.steps for run in executor.started] == [6]


def test_a_signal_stops_the_driver_and_restores_the_handler(driver_of: DriverOf) -> None:
    def stop(run: ScheduledRun) -> JobResult:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        return finish_well(run)

    before = signal.getsignal(signal.SIGTERM)
    executor = RecordingExecutor(stop, capacity=1)
    driver = driver_of(executor, [4, 8])
    runs = driver.run()
    assert driver.was_stopped
    assert [(run.state, run.reason) for run in runs] == [("interrupted", "left"), ("done", "")]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_killed_fork_server_loses_no_run(driver_of: DriverOf, capfd) -> None:
    class Refusing(RecordingExecutor):
        attempts = 0

        def start(self, run: ScheduledRun, total_runs: int) -> None:
            self.attempts += 1
            if self.attempts == 2:
                raise ConnectionRefusedError
            super().start(run, total_runs)

    executor = Refusing(finish_well)
    runs = driver_of(executor, [4, 5, 6]).run()
    assert {run.state for run in runs} == {"done"}
    assert len(executor.started) == 3
    assert "the process that starts the jobs was killed; starting another" in capfd.readouterr().err


def test_a_run_that_another_launch_took_over_has_not_failed(driver_of: DriverOf) -> None:
    """The job of a suspended launch may fail in any way, for example on a file that is gone."""
    executor, found = RecordingExecutor(finish_well), []

    def fail_without_the_lock(run: ScheduledRun) -> JobResult:
        if not found:
            lock = run.folder.lock()
            lock.__enter__()
            found.append(lock)
            return JobResult("failed", "exited with code 1")
        return finish_well(run)

    executor.finish = fail_without_the_lock
    driver = driver_of(executor, [4])
    driver.schedule.extend()
    (run,) = driver.schedule.runs
    executor.start(run, 1)
    driver._collect_results()
    assert run.state == "elsewhere" and f"process {os.getpid()} on " in run.reason
    found[0].__exit__(None, None, None)
    assert {run.state for run in driver.run()} == {"done"}
    assert run.reason == ""


def test_a_stop_that_takes_long_names_the_processes_it_waits_for(
    driver_of: DriverOf, capfd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "PATIENCE_SECONDS", 0.0)
    driver = driver_of(RecordingExecutor(finish_well), [4])
    driver.schedule.extend()
    (run,) = driver.schedule.runs
    run.state, run.process = "running", multiprocessing.current_process()
    driver._announce_stop()
    for _ in range(2):
        driver._announce_wait()
    printed = capfd.readouterr().err
    assert printed.count(f"steps-4/seed0 (process {os.getpid()}) to save and exit") == 1
