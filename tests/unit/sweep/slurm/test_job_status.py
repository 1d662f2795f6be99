"""What ``python -m lmlab.status`` says of the jobs of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from slurm_sweep import SlurmSweep

from lmlab.sweep.slurm.job_status import job_status
from lmlab.sweep.slurm.slurm_records import driver_folder


@pytest.fixture
def sweep(tmp_path: Path, overrides: list[str], slurm: FakeSlurm) -> SlurmSweep:
    made = SlurmSweep(tmp_path, overrides)
    made.folder.path.mkdir(parents=True)
    (made.folder.path / "manifest.json").write_text("{}")
    return made


def states_of(sweep: SlurmSweep) -> tuple[dict[int, tuple[str, str]], list[str]]:
    jobs, lines = job_status(sweep.folder.study_folder)
    return {job.seed: (found.state, found.description) for job, found in jobs.items()}, lines


def test_a_study_without_submissions_asks_nothing(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    assert states_of(sweep) == ({}, [])
    assert job_status(sweep.root / "nowhere") == ({}, [])
    assert slurm.calls("squeue") == []


def test_each_run_has_the_state_of_its_job(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    sweep.submit(*(sweep.run(seed) for seed in range(4)))
    (submission,) = sweep.submissions
    submission.write_exit_codes(2, {"2.yaml": 1})
    name = submission.read()["name"]
    slurm.show_jobs((name, 0, "PENDING", "Priority"), (name, 1, "RUNNING", "None"))
    slurm.forget_jobs()
    states, lines = states_of(sweep)
    lost = "job 100_3 is lost: Slurm has no record of it; rerun the command to resume"
    assert states == {
        0: ("queued", "PENDING (Priority)"), 1: ("running", "RUNNING"),
        2: ("", "job 100_2 ended"), 3: ("interrupted", lost),
    }  # fmt: skip
    assert lines == []
    jobs, _ = job_status(sweep.folder.study_folder)
    assert {found.log.name for found in jobs.values()} == {
        f"100_{index}_0_log.out" for index in range(4)
    }


def test_a_run_counts_by_its_last_submission(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    sweep.submit(sweep.run(0))
    slurm.forget_jobs()
    sweep.submit(sweep.run(0))
    first, second = sweep.submissions
    slurm.show_jobs((first.read()["name"], 0, "CANCELLED", "None"),
                    (second.read()["name"], 0, "RUNNING", "None"))  # fmt: skip
    assert states_of(sweep)[0] == {0: ("running", "RUNNING")}


def test_an_array_that_was_never_submitted_is_interrupted(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    sweep.submit(sweep.run(0))
    record = sweep.submissions[0].folder / "submission.json"
    record.write_text(json.dumps(sweep.submissions[0].read() | {"job_id": None}))
    states, _ = states_of(sweep)
    assert states == {0: ("interrupted", "its job was not submitted; rerun the command")}


def test_without_slurm_only_the_run_folders_count(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    sweep.submit(sweep.run(0))
    slurm.fail("squeue")
    states, lines = states_of(sweep)
    assert states == {0: ("", "")}
    assert lines == ["cannot reach Slurm from here: showing the state in the run folders"]


@pytest.mark.parametrize(
    ("state", "reason", "line"),
    [
        ("PENDING", "Dependency", "driver job 7: PENDING (Dependency)"),
        ("RUNNING", "None", "driver job 7: RUNNING"),
        ("COMPLETED", "None", "driver job 7: complete, the report is written"),
        ("NODE_FAIL", "None", "driver job 7: NODE_FAIL; rerun the command to start another"),
        (None, "", "driver job 7: lost; rerun the command to start another"),
    ],
)
def test_the_driver_has_a_line_of_its_own(
    sweep: SlurmSweep, slurm: FakeSlurm, state: str | None, reason: str, line: str
) -> None:
    sweep.submit(sweep.run(0))
    driver_folder(sweep.folder).mkdir()
    (driver_folder(sweep.folder) / "driver.json").write_text('{"name": "drive", "job_id": "7"}')
    slurm.forget_jobs()
    slurm.show_jobs(*([("drive", 0, state, reason)] if state else []))
    assert states_of(sweep)[1] == [line]
