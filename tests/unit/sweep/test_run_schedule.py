"""The schedule follows the outcomes: evaluation after the search, more seeds after a first look."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from designs import a_design
from recording_executor import write_run

from lmlab.config.compose import compose
from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Manifest
from lmlab.runs import auto_settings
from lmlab.study.ladders.seals import SEALS_FILE
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.scheduled_run import ScheduledRun
from tests.support.ladders import a_ladder

Build = Callable[..., RunSchedule]


@pytest.fixture
def data() -> RunDataCache:
    return RunDataCache()


@pytest.fixture
def build(overrides: list[str], tmp_path: Path, data: RunDataCache) -> Build:
    def schedule(
        design: Comparison | None, attach: Callable[[ScheduledRun], Any] = lambda run: False
    ) -> RunSchedule:
        norms = {"a": "model.norm=rms", "b": "model.norm=post"}
        arms = [compose([*overrides, norm, "study=s"]).as_dict() for norm in norms.values()]
        manifest = Manifest("s", "", arms, list(norms), [[], []], design)
        printed: list[str] = []
        made = RunSchedule(
            manifest, SweepFolder.of(manifest, tmp_path / "outputs"), data,
            auto_settings.build_device, attach, printed.append,
        )  # fmt: skip
        made.printed = printed  # type: ignore[attr-defined]
        return made

    return schedule


def finish(run: ScheduledRun, loss: float) -> None:
    write_run(run, 9.0, loss)
    run.refresh_state()


def test_the_evaluation_follows_the_search(build: Build) -> None:
    schedule = build(a_design(num_seeds=1, num_tuning_seeds=1, at_baseline_lr=False))
    schedule.extend()
    assert {tuple(run.purposes) for run in schedule.runs} == {("search",)}
    for _ in range(40):
        queued = [run for run in schedule.runs if run.state == "queued"]
        if not queued:
            break
        for run in queued:
            assert run.job.lr is not None
            finish(run, 2 + 0.1 * math.log(run.job.lr / 3e-3) ** 2)
        schedule.extend()
    judged = [run.job for run in schedule.runs if "judged" in run.purposes]
    assert {job.arm for job in judged} == {"a", "b"}
    assert schedule.is_settled
    assert {entry.job for entry in schedule.folder.entries()} == {r.job for r in schedule.runs}


def test_an_undecided_arm_gets_extra_seeds_once(build: Build) -> None:
    design = a_design(lr="fixed", num_seeds=2, extra_seeds=2, at_baseline_lr=False)
    schedule = build(design)
    schedule.extend()
    assert len(schedule.runs) == 4
    for run in schedule.runs:  # differences of -1 and +1: no verdict
        finish(run, 3.0 if run.job.arm == "a" else 2.0 + 2 * (run.job.seed % 2))
    schedule.extend()
    assert len(schedule.runs) == 8
    assert schedule.printed == ["second look: 2 more seeds each for b"]
    for run in schedule.runs[4:]:
        finish(run, 3.0 if run.job.arm == "a" else 2.0 + 2 * (run.job.seed % 2))
    schedule.extend()
    assert len(schedule.runs) == 8, "there is no third look"


def test_a_clear_verdict_needs_no_extra_seeds(build: Build) -> None:
    schedule = build(a_design(lr="fixed", num_seeds=3, extra_seeds=2, at_baseline_lr=False))
    schedule.extend()
    for run in schedule.runs:
        finish(run, (3.0 if run.job.arm == "a" else 2.0) + 1e-4 * run.job.seed)
    schedule.extend()
    assert len(schedule.runs) == 6
    assert schedule.printed == []


def test_only_unfinished_runs_are_attached(build: Build) -> None:
    design = a_design(lr="fixed", num_seeds=2, at_baseline_lr=False)
    first = build(design)
    first.extend()
    finish(first.runs[0], 2.0)
    attached: list[ScheduledRun] = []
    second = build(design, attach=attached.append)
    second.extend()
    assert [run.job for run in attached] == [run.job for run in second.runs[1:]]
    assert second.runs[0].was_finished


def test_a_rerun_adds_nothing_to_the_ledger(build: Build) -> None:
    design = a_design(lr="fixed", num_seeds=2, at_baseline_lr=False)
    build(design).extend()
    schedule = build(design)
    ledger = schedule.folder.path / "ledger.jsonl"
    before = ledger.read_text()
    schedule.extend()
    assert ledger.read_text() == before
    assert len(before.splitlines()) == 4


def test_the_highest_rung_waits_for_every_run_below_and_for_the_seal(
    overrides: list[str], tmp_path: Path, data: RunDataCache
) -> None:
    ladder = a_ladder(4, num_seeds=2)
    arms = [
        compose([*overrides, f"training.steps={20 * 2**rung}", *ladder.arms[arm], "study=s"])
        for rung, arm in ladder.cells.values()
    ]
    contents = [{**one.as_dict(), "design": None} for one in arms]
    manifest = Manifest("s", "", contents, list(ladder.cells), [[] for _ in arms], ladder=ladder)
    printed: list[str] = []
    folder = SweepFolder.of(manifest, tmp_path / "outputs")
    seals = folder.study_folder / SEALS_FILE

    def schedule() -> RunSchedule:
        return RunSchedule(manifest, folder, data, auto_settings.build_device,
                           lambda run: False, printed.append)  # fmt: skip

    first = schedule()
    first.extend()
    below = first.runs
    assert len(below) == 12 and not any(run.job.arm.startswith("r4") for run in below)
    for run in below[:-1]:
        finish(run, 4.0 - 0.3 * ladder.cells[run.job.arm][0] + 0.001 * run.job.seed)
    below[-1].state = "failed"
    first.extend()
    assert len(first.runs) == 12 and first.is_settled and not seals.exists()
    assert first.held_back == (
        "r4 has not started, because 1 run of the rungs below has not finished"
    )
    finish(below[-1], 3.4)
    first.extend()
    assert len(first.runs) == 16 and not first.held_back
    kept = seals.read_bytes()
    again = schedule()
    again.extend()
    assert len(again.runs) == 16 and seals.read_bytes() == kept
    assert [line.partition(":")[0] for line in printed] == ["rung 4"]


def test_a_sequential_study_adds_one_seed_at_a_time_and_resumes_there(build: Build) -> None:
    design = a_design(lr="fixed", look="sequential", max_seeds=6, margin=0.0, futility=0.0,
                      at_baseline_lr=False)  # fmt: skip

    def loss(run: ScheduledRun) -> float:
        return 3.0 if run.job.arm == "a" else 2.0 + 2 * (run.job.seed % 2)

    schedule, counts = build(design), []
    for _ in range(3):
        schedule.extend()
        counts.append(len(schedule.runs))
        for run in schedule.runs:
            if run.state == "queued":
                finish(run, loss(run))
    assert counts == [6, 8, 10]
    assert schedule.printed == ["seed 4 for b", "seed 5 for b"]
    again = build(design)  # killed, and started anew
    again.extend()
    assert [run.job.seed for run in again.runs if run.state == "queued"] == [5, 5]
    for run in again.runs[-2:]:
        finish(run, loss(run))
    again.extend()
    assert len(again.runs) == 12 and again.is_settled
    assert again.printed[-1] == "b: max_seeds after 6 seeds"


@pytest.mark.parametrize(("max_minutes", "num_runs"), [(3.1, 8), (3.0, 6)])
def test_no_seeds_are_added_after_the_minutes_of_a_study(
    build: Build, max_minutes: float, num_runs: int
) -> None:
    design = a_design(lr="fixed", look="sequential", margin=0.0, futility=0.0,
                      at_baseline_lr=False, max_minutes=max_minutes)  # fmt: skip
    schedule = build(design)
    schedule.extend()
    for run in schedule.runs:
        finish(run, 3.0 if run.job.arm == "a" else 2.0 + 2 * (run.job.seed % 2))
        status = run.folder.status()
        run.folder.write_status(**status | {"seconds": 30.0})
    schedule.extend()
    assert len(schedule.runs) == num_runs
    assert (schedule.printed == ["b: max_minutes after 3 seeds"]) == (num_runs == 6)
