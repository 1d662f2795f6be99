"""Runs under Slurm are submitted once, followed, and submitted again when they were killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from slurm_sweep import SlurmSweep

from lmlab.sweep.executor import JobResult
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slurm.slurm_executor import SlurmExecutor
from lmlab.sweep.slurm.slurm_records import submission_records
from lmlab.sweep.submission_records import Submission


@pytest.fixture
def sweep(tmp_path: Path, overrides: list[str], slurm: FakeSlurm) -> SlurmSweep:
    return SlurmSweep(tmp_path, overrides)


def poll(executor: SlurmExecutor, *runs: ScheduledRun) -> dict[int, JobResult]:
    return {run.job.seed: result for run, result in executor.poll(runs)}


def show(slurm: FakeSlurm, submission: Submission, *states: str, reason: str = "None") -> None:
    name = submission.read()["name"]
    slurm.show_jobs(*((name, index, state, reason) for index, state in enumerate(states)))


def test_the_state_of_a_job_is_followed_to_its_end(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    runs = [sweep.run(0), sweep.run(1)]
    executor = sweep.submit(*runs)
    (submission,) = sweep.submissions
    show(slurm, submission, "PENDING", "RUNNING")
    assert poll(executor, *runs) == {}
    assert [run.state for run in runs] == ["submitted", "running"]
    runs[0].folder.write_status("done")
    show(slurm, submission, "COMPLETED", "RUNNING")
    assert poll(executor, *runs) == {0: JobResult("done")}
    assert poll(executor, runs[1]) == {}, "it is reported once"


def test_a_job_must_be_missing_twice_to_count_as_lost(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    run = sweep.run(0)
    executor = sweep.submit(run)
    slurm.forget_jobs()
    slurm.show_jobs()
    assert poll(executor, run) == {}
    show(slurm, sweep.submissions[0], "RUNNING")
    assert poll(executor, run) == {}
    slurm.show_jobs()
    assert poll(executor, run) == {}
    result = poll(executor, run)[0]
    assert (result.state, result.reason) == (
        "queued",
        "job 100_0 is lost: Slurm has no record of it",
    )


def test_a_job_that_only_scontrol_knows_is_not_lost(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    run = sweep.run(0)
    executor = sweep.submit(run)
    name = sweep.submissions[0].read()["name"]
    slurm.show_jobs()
    slurm.answer(
        "scontrol", f"JobId=9 JobName={name} JobState=RUNNING Reason=None ExitCode=0:0 X=1\n"
    )
    for _ in range(4):
        assert poll(executor, run) == {}


def test_a_controller_that_does_not_respond_changes_nothing(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    run = sweep.run(0)
    executor = sweep.submit(run)
    slurm.fail("squeue")
    for _ in range(3):
        assert poll(executor, run) == {}
    assert run.state == "submitted"
    assert "Slurm is not responding, retrying" in sweep.printed[-1]


def test_a_cancelled_job_interrupts_its_run(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    run = sweep.run(0)
    executor = sweep.submit(run)
    show(slurm, sweep.submissions[0], "CANCELLED")
    slurm.forget_jobs()
    result = poll(executor, run)[0]
    assert result.state == "interrupted"
    assert result.reason == "job 100_0 was cancelled; rerun the command to resume"


def test_a_killed_run_fails_after_several_submissions_without_progress(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    run, executor = sweep.run(0), sweep.executor()
    slurm.forget_jobs()
    states = []
    for step in (0, 5, 5, 5, 5, 5):
        slurm.show_jobs()
        sweep.submit(run, executor=executor)
        run.folder.write_status("preempted", step=step)
        show(slurm, sweep.submissions[-1], "NODE_FAIL")
        states.append(poll(executor, run)[0].state)
    # At step 0 and, with progress, at step 5; then three retries at step 5.
    assert states == ["queued", "queued", "queued", "queued", "queued", "failed"]
    assert [s.runs()[0].attempt for s in sweep.submissions] == [0, 1, 0, 1, 2, 3]


def test_a_held_job_is_reported_once(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    run = sweep.run(0)
    executor = sweep.submit(run)
    show(slurm, sweep.submissions[0], "PENDING", reason="JobHeldUser")
    for _ in range(3):
        poll(executor, run)
    assert [line for line in sweep.printed if "holds" in line] == [
        "a/seed0: Slurm holds its job: JobHeldUser"
    ]


def test_a_second_launch_follows_the_jobs_of_the_first(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    sweep.submit(sweep.run(0))
    show(slurm, sweep.submissions[0], "RUNNING")
    run, second = sweep.run(0), sweep.executor()
    assert second.attach(run)
    assert second.job_ids() == ["100"]
    sweep.submit(sweep.run(0))
    assert len(slurm.calls("sbatch")) == 1, "and submits nothing even if asked to"


def test_another_study_adopts_the_job_of_the_same_run(
    sweep: SlurmSweep, slurm: FakeSlurm, tmp_path: Path, overrides: list[str]
) -> None:
    sweep.submit(sweep.run(0))
    show(slurm, sweep.submissions[0], "PENDING")
    other = SlurmSweep(tmp_path, overrides, name="other")
    assert other.executor().attach(other.run(0, "renamed"))
    ((job, submission, assignment),) = submission_records(other.folder).adopted()
    assert (job.arm, assignment.job.arm) == ("renamed", "a")
    assert submission.folder == sweep.submissions[0].folder.resolve()


def test_an_ended_job_is_not_attached_to(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    sweep.submit(sweep.run(0))
    show(slurm, sweep.submissions[0], "NODE_FAIL")
    assert not sweep.executor().attach(sweep.run(0))


def test_while_slurm_does_not_respond_no_run_is_submitted_twice(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    sweep.submit(sweep.run(0))
    slurm.fail("squeue")
    assert sweep.executor().attach(sweep.run(0))


@pytest.mark.parametrize("was_submitted", [True, False])
def test_a_launcher_killed_within_sbatch_loses_no_job(
    sweep: SlurmSweep, slurm: FakeSlurm, was_submitted: bool
) -> None:
    sweep.submit(sweep.run(0))
    (submission,) = sweep.submissions
    record = submission.folder / "submission.json"
    record.write_text(json.dumps(submission.read() | {"job_id": None}))
    jobs = f"{submission.read()['name']}|0|RUNNING|None\n"
    # The same fake answers both queries: the states, and the number of the array.
    slurm.answer("squeue", jobs if was_submitted else "")
    assert sweep.executor().attach(sweep.run(0)) is was_submitted
    assert (submission.read()["job_id"] is not None) is was_submitted


def test_a_restarted_driver_does_not_repeat_a_failed_run(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    sweep.submit(sweep.run(0), sweep.run(1))
    (submission,) = sweep.submissions
    submission.write_exit_codes(0, {"0.yaml": 1})
    slurm.show_jobs()
    failed, killed = sweep.run(0), sweep.run(1)
    driver = sweep.executor(resumes_driver=True)
    assert not driver.attach(failed) and not driver.attach(killed)
    assert (failed.state, killed.state) == ("failed", "queued")
    again = sweep.run(0)
    sweep.executor().attach(again)
    assert again.state == "queued", "but the command, typed again, does"


def test_a_controller_that_stops_responding_between_two_questions_loses_no_job(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    run = sweep.run(0)
    executor = sweep.submit(run)
    show(slurm, sweep.submissions[0], "CANCELLED")
    slurm.fail("scontrol")
    for _ in range(3):
        assert poll(executor, run) == {}
    assert "Slurm is not responding, retrying" in sweep.printed[-1]
    slurm.forget_jobs()
    assert poll(executor, run)[0].state == "interrupted"


def test_a_submission_without_an_answer_is_repeated_only_if_it_did_not_arrive(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    slurm.fail("sbatch")
    slurm.show_jobs()
    run = sweep.run(0)
    executor = sweep.submit(run)
    assert run.state == "queued"
    assert executor.is_unreachable
    assert sweep.printed[-1].startswith("Slurm is not responding (sbatch: ")
    (submission,) = sweep.submissions
    # squeue now knows the array: only the answer of sbatch was lost.
    slurm.answer("squeue", f"{submission.read()['name']}|0|PENDING|None\n")
    sweep.submit(run, executor=executor)
    assert run.state == "submitted"
    assert len(slurm.calls("sbatch")) == 1
    slurm.show_jobs()
    slurm.answer("sbatch", "")
    sweep.submit(sweep.run(1), executor=executor)
    assert len(slurm.scripts()) == 1


def test_runs_that_the_queue_has_no_room_for_are_submitted_later(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    """Together, the arrays of a request run no more jobs at once than a single one would."""
    slurm.accept_jobs(3)
    first: list[str] = []
    runs = [sweep.run(seed) for seed in range(8)]
    executor = sweep.executor(on_full_queue=lambda: first.append("driver"))
    sweep.submit(*runs, executor=executor)
    assert [run.state for run in runs] == ["submitted"] * 3 + ["queued"] * 5
    assert "Slurm accepts no further jobs now (AssocMaxSubmitJobLimit): 5 runs" in sweep.printed[-1]
    assert first, "the driver is submitted while there is room"
    assert [len(one.runs()) for one in sweep.submissions] == [2, 1], "no record of refused arrays"
    slurm.accept_jobs(100)
    sweep.submit(*runs[3:], executor=executor)
    assert {run.state for run in runs} == {"submitted"}
    arrays = [next(one for one in call if one.startswith("--array=")) for call in
              slurm.calls("sbatch")[-1:]]  # fmt: skip
    assert arrays == ["--array=0-4%5"]
    assert "--dependency=afterany:101" in slurm.calls("sbatch")[-1]
