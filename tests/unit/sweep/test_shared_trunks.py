"""Branches wait for their trunk, start from its checkpoint, and train alone where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from recording_executor import RecordingExecutor, write_metadata, write_run

from lmlab.config.compose import compose
from lmlab.design.manifest import Manifest
from lmlab.runs import auto_settings
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import driver as driver_module
from lmlab.sweep import shared_trunks
from lmlab.sweep.driver import Driver
from lmlab.sweep.executor import JobResult
from lmlab.sweep.plan_listing import PlannedSchedule, print_plan
from lmlab.sweep.progress_view import ProgressView
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.shared_trunks import plan_arms

HORIZONS = ["schedule=wsd", "schedule.decay_fraction=0.25", "parent=auto", "study=s"]
Launch = Callable[..., tuple[Driver, list[str]]]


def save(run: ScheduledRun, *steps: int) -> None:
    for step in steps:
        (run.folder.checkpoints / f"step_{step:08d}").mkdir(parents=True, exist_ok=True)


def finish_well(run: ScheduledRun) -> JobResult:
    """End a run as the session would leave it: with the checkpoints that it keeps."""
    write_run(run, 5.0, 2.0)
    save(run, *run.config.checkpoint.keep_steps, run.config.training.steps)
    return JobResult("failed", "not read, because the run folder says done")


def manifest_of(overrides: Sequence[str], arms: Sequence[str]) -> Manifest:
    configs = [compose([*overrides, *HORIZONS, *arm.split()]) for arm in arms]
    names = [
        arm.replace(" ", "+").replace("=", "-").replace("[", "").replace("]", "") for arm in arms
    ]
    contents = [one.as_dict() | {"arm": name} for one, name in zip(configs, names, strict=True)]
    return Manifest("s", "", contents, names, [[] for _ in arms])


@pytest.fixture
def launch(overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    monkeypatch.setattr(driver_module, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(shared_trunks, "_POLL_SECONDS", 0.0)

    def build(executor: RecordingExecutor, *arms: str) -> tuple[Driver, list[str]]:
        printed: list[str] = []
        schedule = RunSchedule(
            manifest_of(overrides, arms), SweepFolder(tmp_path / "sweep"), RunDataCache(),
            auto_settings.build_device, executor.attach, printed.append,
        )  # fmt: skip
        return Driver(schedule, executor, ProgressView("s", 1)), printed

    return build


def starts(executor: RecordingExecutor) -> list[tuple[int, str | None]]:
    return [
        (run.config.training.steps, run.config.parent and Path(run.config.parent).parent.name)
        for run in executor.started
    ]


def test_branches_start_from_the_kept_steps_of_the_longest_run(launch: Launch) -> None:
    executor = RecordingExecutor(finish_well)
    driver, printed = launch(executor, "training.steps=8", "training.steps=32", "training.steps=16")
    assert {run.state for run in driver.run()} == {"done"}
    assert starts(executor) == [
        (32, None), (16, "training.steps-32"), (8, "training.steps-32")
    ]  # fmt: skip
    assert executor.started[0].config.checkpoint.keep_steps == (7, 13)
    assert printed == [
        "parent=auto: training.steps-32/seed0 is the trunk of training.steps-8/seed0 from step 7, "
        "training.steps-16/seed0 from step 13",
        printed[1],
    ]
    assert printed[1].startswith("parent=auto: 2 runs take over 20 of 56 updates, which saves ")


def test_a_branch_waits_while_its_trunk_trains(launch: Launch) -> None:
    executor = RecordingExecutor(finish_well)
    driver, _ = launch(executor, "training.steps=8", "training.steps=32")
    driver.start_all()
    driver._start_queued()
    branch, trunk = driver.schedule.runs
    assert starts(executor) == [(32, None)] and driver.schedule.has_waiting_runs
    assert branch.reason == "waits for step 7 of training.steps-32/seed0"
    write_metadata(trunk)
    save(trunk, 5)
    trunk.folder.write_status("running", step=6, steps=32)
    with trunk.folder.lock():
        driver._start_queued()
        assert len(executor.started) == 1
        save(trunk, 7)
        driver._start_queued()
    assert starts(executor)[1:] == [(8, "training.steps-32")] and not branch.reason
    assert not driver.schedule.has_waiting_runs


def test_a_branch_of_a_failed_trunk_trains_alone(launch: Launch) -> None:
    def fail_the_longest(run: ScheduledRun) -> JobResult:
        if run.config.training.steps == 32:
            return JobResult("failed", "killed by signal 9")
        return finish_well(run)

    executor = RecordingExecutor(fail_the_longest)
    driver, printed = launch(executor, "training.steps=8", "training.steps=32")
    assert [run.state for run in driver.run()] == ["done", "failed"]
    assert starts(executor) == [(32, None), (8, None)]
    assert printed[-1] == (
        "training.steps-8/seed0: trains from its first update: training.steps-32/seed0 has no "
        "checkpoint up to step 7"
    )


def test_a_longer_horizon_starts_from_a_finished_run(launch: Launch) -> None:
    finished = RecordingExecutor(finish_well)
    launch(finished, "training.steps=16 checkpoint.keep_steps=[12]")[0].run()
    executor = RecordingExecutor(finish_well)
    driver, printed = launch(executor, "training.steps=16", "training.steps=32")
    driver.run()
    assert starts(executor) == [(32, "training.steps-16+checkpoint.keep_steps-12")]
    assert "16/seed0 is the trunk of training.steps-32/seed0 from step 12" in printed[0]


def test_a_killed_launch_resumes_with_the_same_trunk(launch: Launch) -> None:
    """The trunk was killed after the first branch had started, before the second one could."""
    arms = ["training.steps=8", "training.steps=16", "training.steps=32"]
    killed = RecordingExecutor(finish_well)
    first, _ = launch(killed, *arms)
    first.start_all()
    trunk = first.schedule.runs[2]
    write_metadata(trunk)
    save(trunk, 7)
    executor = RecordingExecutor(finish_well)
    driver, printed = launch(executor, *arms)
    driver.run()
    assert sorted(starts(executor), key=str) == [
        (16, "training.steps-32"), (32, None), (8, "training.steps-32")
    ]  # fmt: skip
    (resumed,) = [run for run in executor.started if run.config.training.steps == 32]
    assert resumed.config.checkpoint.keep_steps == (7, 13), "no checkpoint is removed too early"
    again = RecordingExecutor(finish_well)
    driver, printed = launch(again, *arms)
    driver.run()
    assert not again.started and not printed


def test_a_branch_that_resumes_needs_no_trunk(launch: Launch) -> None:
    killed = RecordingExecutor(finish_well)
    first, _ = launch(killed, "training.steps=8", "training.steps=32")
    first.start_all()
    branch = first.schedule.runs[0]
    write_metadata(branch)
    save(branch, 7)
    executor = RecordingExecutor(finish_well)
    driver, _ = launch(executor, "training.steps=8", "training.steps=32")
    driver.start_all()
    assert (8, None) in starts(executor)


def test_a_launch_says_that_nothing_is_shared(launch: Launch) -> None:
    executor = RecordingExecutor(finish_well)
    driver, printed = launch(executor, "optim.lr=1e-3", "optim.lr=1e-2")
    assert {run.state for run in driver.run()} == {"done"}
    assert len(printed) == 1 and printed[0].startswith("parent=auto: nothing to share: no two runs")
    assert {run.config.parent for run in executor.started} == {None}


def test_seeds_have_trunks_of_their_own(launch: Launch) -> None:
    executor = RecordingExecutor(finish_well)
    arms = [f"training.steps={steps} seed={seed}" for steps in (8, 32) for seed in (0, 1)]
    driver, _printed = launch(executor, *arms)
    driver.run()
    parents = {run.config.seed: run.config.parent for run in executor.started if run.trunk}
    assert {seed: Path(str(parent)).name for seed, parent in parents.items()} == {
        0: "seed0", 1: "seed1"
    }  # fmt: skip


def test_the_plan_shows_where_runs_start_and_writes_nothing(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(overrides, ["training.steps=8", "training.steps=32"])
    folder = SweepFolder.of(manifest, tmp_path / "outputs")
    print_plan(PlannedSchedule(manifest, folder, RunDataCache(), auto_settings.build_device))
    text = capsys.readouterr().out
    assert "training.steps-32/seed0 is the trunk of training.steps-8/seed0 from step 7" in text
    assert "to train from step 7 of training.steps-32" in text
    assert "1 run takes over 7 of 40 updates, which saves " in text
    assert not (tmp_path / "outputs" / "s").exists()


def test_predictions_count_shared_updates_once(overrides: list[str]) -> None:
    arms = ["training.steps=8", "training.steps=32", "optim.lr=0.5"]
    configs = [compose([*overrides, *HORIZONS, arm]) for arm in arms]
    planned, starts = plan_arms(configs)
    assert starts == [7, 0, 0]
    assert [one.checkpoint.keep_steps for one in planned] == [(), (7,), ()]
    alone = [compose([*overrides, *HORIZONS[:2], name]) for name in arms]
    assert plan_arms(alone) == (alone, [0, 0, 0])
