"""Slurm's commands do what their arguments say, whatever the environment."""

from __future__ import annotations

import pytest
from fake_slurm import FakeSlurm

from lmlab.sweep.slurm.commands import (
    RefusedError,
    UnreachableError,
    command_environment,
    run_command,
)


def test_no_input_variable_of_slurm_reaches_a_command() -> None:
    kept = {
        "SLURM_CONF": "/etc/slurm.conf", "SLURM_JWT": "token", "PATH": "/bin", "HOME": "/root",
        "SLURMX": "a name of its own", "MY_SLURM_JOB_ID": "1",
    }  # fmt: skip
    removed = [
        "SBATCH_TIMELIMIT", "SBATCH_ARRAY_INX", "SBATCH_EXPORT", "SBATCH_ACCOUNT", "SLURM_JOB_ID",
        "SLURM_JOBID", "SLURM_NTASKS", "SLURM_MEM_PER_CPU", "SLURM_CPU_BIND", "SLURM_CLUSTERS",
        "SLURM_TIME_FORMAT", "SLURM_EXPORT_ENV", "SLURMD_NODENAME", "SQUEUE_FORMAT",
        "SQUEUE_STATES", "SACCT_FORMAT", "SCONTROL_FUTURE", "SCANCEL_STATE", "SALLOC_PARTITION",
    ]  # fmt: skip
    assert command_environment(kept | dict.fromkeys(removed, "x")) == kept


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
         UnreachableError),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
         UnreachableError),
        ("slurm_load_jobs error: Invalid job id specified", RefusedError),
        ("sbatch: error: invalid partition specified: x", RefusedError),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
         RefusedError),
    ],
)  # fmt: skip
def test_a_refusal_is_told_from_a_controller_that_does_not_respond(
    slurm: FakeSlurm, error: str, expected: type[Exception]
) -> None:
    slurm.fail("scontrol", error)
    with pytest.raises(expected, match=error[-20:].replace("(", ".").replace(")", ".")):
        run_command("scontrol")


def test_the_answer_may_be_long(slurm: FakeSlurm) -> None:
    text = "x" * 1_000_000
    slurm.answer("squeue", text)
    assert run_command("squeue") == text


def test_a_command_that_is_not_installed_is_not_an_empty_answer() -> None:
    with pytest.raises(UnreachableError, match="no-such-command"):
        run_command("no-such-command")
