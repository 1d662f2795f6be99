"""How the answers of Slurm's commands are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from lmlab.errors import ConfigError
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.commands import UnreachableError
from lmlab.sweep.slurm.queue import JobState


def test_missing_commands_are_reported_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slurm: FakeSlurm
) -> None:
    queue.check_commands()
    (slurm.folder / "squeue").unlink()
    monkeypatch.setenv("PATH", str(slurm.folder))
    with pytest.raises(ConfigError, match="command squeue of Slurm is not installed") as error:
        queue.check_commands()
    assert "submit from a login node" in str(error.value.help)


def test_states_are_found_by_name_and_index(slurm: FakeSlurm) -> None:
    slurm.show_jobs(("a-1", 0, "RUNNING", "None"), ("a-1", 12, "PENDING", "Resources"),
                    ("driver", "N/A", "PENDING", "JobHeldUser"))  # type: ignore[arg-type]  # fmt: skip
    states = queue.states_by_name(["a-1", "driver"])
    assert states == {
        ("a-1", 0): JobState("RUNNING"),
        ("a-1", 12): JobState("PENDING", "Resources"),
        ("driver", 0): JobState("PENDING", "JobHeldUser"),
    }
    assert "a-1,driver" in slurm.calls("squeue")[0]


def test_a_living_job_counts_before_an_ended_one_of_the_same_name(slurm: FakeSlurm) -> None:
    jobs = [("a", 0, "RUNNING", "None"), ("a", 0, "CANCELLED", "None")]
    for order in (jobs, jobs[::-1]):
        slurm.show_jobs(*order)
        assert queue.states_by_name(["a"])["a", 0].is_alive


def test_a_reason_may_contain_the_separator(slurm: FakeSlurm) -> None:
    slurm.show_jobs(("a", 0, "PENDING", "Nodes|down"))
    assert queue.states_by_name(["a"])["a", 0].reason == "Nodes|down"


def test_no_names_ask_nothing(slurm: FakeSlurm) -> None:
    assert queue.states_by_name([]) == {}
    assert slurm.calls("squeue") == []


@pytest.mark.parametrize(
    ("state", "reason", "alive", "stuck"),
    [
        ("PENDING", "Resources", True, False),
        ("PENDING", "JobHeldUser", True, True),
        ("PENDING", "launch failed requeued held", True, True),
        ("PENDING", "DependencyNeverSatisfied", True, True),
        ("RUNNING", "", True, False),
        ("COMPLETING", "", True, False),
        ("CANCELLED", "", False, False),
        ("NODE_FAIL", "", False, False),
        ("OUT_OF_MEMORY", "", False, False),
        ("BOOT_FAIL", "", False, False),
        ("PREEMPTED", "", False, False),
        ("DEADLINE", "", False, False),
        ("REQUEUE_HOLD", "", True, True),
        ("SUSPENDED", "", True, False),
        ("PENDING", "PartitionTimeLimit", True, True),
        ("PENDING", "PartitionDown", True, True),
        ("PENDING", "QOSMaxWallDurationPerJobLimit", True, True),
        ("PENDING", "QOSMaxJobsPerUserLimit", True, False),
        ("PENDING", "AssocGrpCpuLimit", True, False),
        ("PENDING", "JobArrayTaskLimit", True, False),
    ],
)
def test_living_and_stuck_jobs(state: str, reason: str, alive: bool, stuck: bool) -> None:
    job = JobState(state, reason)
    assert (job.is_alive, job.is_stuck) == (alive, stuck)


def test_an_unreachable_controller_is_not_an_empty_queue(slurm: FakeSlurm) -> None:
    slurm.fail("squeue")
    with pytest.raises(UnreachableError, match="squeue"):
        queue.states_by_name(["a"])
    with pytest.raises(UnreachableError):
        queue.job_id_by_name("a")


def test_the_number_of_an_array_is_found_by_its_name(slurm: FakeSlurm) -> None:
    slurm.answer("squeue", "17\n17\n")
    assert queue.job_id_by_name("a") == "17"
    slurm.answer("squeue", "")
    assert queue.job_id_by_name("a") is None


def test_a_controller_that_does_not_respond_has_not_forgotten_a_job(slurm: FakeSlurm) -> None:
    slurm.answer("sacct", "")
    slurm.fail("scontrol")
    with pytest.raises(UnreachableError):
        queue.final_state("a", "8", 0)


CONTROLLER = (
    "JobId=9 ArrayJobId=8 JobName={name} JobState=FAILED Reason={reason} ExitCode=1:0 X=1\n"
)


def test_the_controller_knows_how_a_job_ended(slurm: FakeSlurm) -> None:
    slurm.answer("scontrol", CONTROLLER.format(name="a", reason="NonZeroExitCode"))
    assert queue.final_state("a", "8", 3) == JobState("FAILED", "NonZeroExitCode exit code 1:0")
    assert slurm.calls("scontrol")[0][-1] == "8_3"


def test_the_accounting_knows_what_the_controller_has_forgotten(slurm: FakeSlurm) -> None:
    slurm.fail("scontrol", "slurm_load_jobs error: Invalid job id specified")
    slurm.answer("sacct", "other|COMPLETED|0:0\na|CANCELLED by 1000|0:15\n")
    assert queue.final_state("a", "8", 0) == JobState("CANCELLED", "exit code 0:15")


def test_a_reused_number_of_another_job_is_not_an_answer(slurm: FakeSlurm) -> None:
    slurm.answer("scontrol", CONTROLLER.format(name="another", reason="None"))
    slurm.answer("sacct", "another|COMPLETED|0:0\n")
    assert queue.final_state("a", "8", 0) is None


@pytest.mark.parametrize(
    ("final", "description"),
    [
        (None, "job 8_0 is lost: Slurm has no record of it"),
        (JobState("NODE_FAIL"), "job 8_0 ended: NODE_FAIL"),
        (
            JobState("OUT_OF_MEMORY", "exit code 0:125"),
            "job 8_0 ended: OUT_OF_MEMORY exit code 0:125 (increase hydra.launcher.mem_gb)",
        ),
        (JobState("FAILED", "exit code 1:0"), "job 8_0 ended: FAILED exit code 1:0"),
    ],
)
def test_the_description_of_an_end(final: JobState | None, description: str) -> None:
    assert queue.describe_end("8_0", final) == description
