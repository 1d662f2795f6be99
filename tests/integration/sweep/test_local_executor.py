"""Jobs as processes of this machine: their failures, their capacity, and how they stop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_fixtures import FAULTY, Sweeps

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.errors import LockedError
from lmlab.run_folder import RunFolder
from lmlab.study.run_records import load_study
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.executor import JobResult
from lmlab.sweep.local_executor import LocalExecutor
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slots import Slot


@pytest.mark.long
def test_a_job_that_fails_in_any_way_stops_no_other(sweeps: Sweeps) -> None:
    faults = ["raises", "exits", "killed", "memory"]
    arguments = ["-m", FAULTY, f"+model.ffn.what={','.join(faults)},nothing,slow"]
    # The preflight also takes steps, so a faulty layer would end the process before the run.
    arguments.append("runtime.preflight=off")
    printed = sweeps.run(*arguments, code=1)
    assert "2 of 6 runs are done" in printed
    for fault, reason in (
        ("raises", "ValueError: a fault of the test"),
        ("exits", "exited with code 3 before the run was done; its log ends: "),
        ("killed", "killed by signal 9"),
        ("memory", "out of memory; lower training.micro_batch_size"),
    ):
        lines = [line for line in printed.splitlines() if line.startswith("failed: ")]
        assert any(fault in line and reason in line for line in lines), (fault, printed)
    logs = re.findall(r"log: (\S+)", printed)
    assert len(logs) == 4
    assert all((sweeps.folder / log).is_file() for log in logs)
    records = load_study(sweeps.outputs / "runs").records
    assert (
        sum(record.state == "failed" and bool(record.status["reason"]) for record in records) == 4
    )
    # A rerun repeats the failed runs and nothing else.
    sweeps.run(*arguments, code=1)
    assert sorted(sweeps.sessions().values()) == [1, 1, 2, 2, 2, 2]


RunOf = Callable[..., ScheduledRun]


@pytest.fixture
def run_of(overrides: list[str], tmp_path: Path) -> RunOf:
    """Builds a scheduled run in the folder where its process will write."""

    def build(seed: int, *more: str) -> ScheduledRun:
        config = compose([*overrides, f"seed={seed}", "runtime.preflight=off", *more])
        folder = RunFolder(Path(config.output_root) / config.study / config.arm / f"seed{seed}")
        log = tmp_path / f"{seed}.log"
        return ScheduledRun(Job(config.arm, None, seed), ["run"], config, folder, log)

    return build


def wait_for_results(executor: LocalExecutor, active: list[ScheduledRun]) -> dict[int, JobResult]:
    found: dict[int, JobResult] = {}
    deadline = time.monotonic() + 100
    while active and time.monotonic() < deadline:
        for run, result in executor.poll(active):
            found[run.job.seed] = result
            active = [other for other in active if other is not run]
        time.sleep(0.05)
    return found


def test_a_slot_is_free_again_when_its_process_has_ended(tmp_path: Path, run_of: RunOf) -> None:
    executor = LocalExecutor([Slot("cpu")], SweepFolder(tmp_path / "sweep"))
    run = run_of(0)
    executor.start(run, 1)
    assert not executor.has_capacity()
    wait_for_results(executor, [run])
    assert executor.has_capacity()
    assert run.folder.status()["status"] == "done"
    assert "validation loss" in run.log.read_text()


def test_a_run_that_another_process_writes_is_elsewhere(tmp_path: Path, run_of: RunOf) -> None:
    executor = LocalExecutor([Slot("cpu")], SweepFolder(tmp_path / "sweep"))
    run = run_of(0)
    run.folder.path.mkdir(parents=True)
    with run.folder.lock():
        executor.start(run, 1)
        results = wait_for_results(executor, [run])
    assert (results[0].state, results[0].exit_code) == ("elsewhere", LockedError.exit_code)


@pytest.mark.long
def test_stop_lets_a_run_save_and_kill_does_not(
    tmp_path: Path, run_of: RunOf, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    executor = LocalExecutor([Slot("cpu")] * 2, SweepFolder(tmp_path / "sweep"))
    slow = ["training.steps=100000", "validation.every_steps=100000",
            "checkpoint.every_steps=100000"]  # fmt: skip
    saving, killed = run_of(0, *slow), run_of(1, *slow)
    for run in (saving, killed):
        executor.start(run, 2)
    wait_for(lambda: all(run.folder.status().get("step") for run in (saving, killed)))
    executor.stop([saving], kill=False)
    executor.stop([killed], kill=True)
    results = wait_for_results(executor, [saving, killed])
    assert results[1].exit_code == -9
    assert list(saving.folder.checkpoints.glob("step_*"))
    assert not list(killed.folder.checkpoints.glob("step_*"))
