"""What is submitted follows from the settings alone, and is possible on the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from cluster import Cluster

from lmlab.errors import ConfigError
from lmlab.sweep.slurm.request_check import check_requests
from lmlab.sweep.slurm.resources import ArmResources, Resources
from lmlab.sweep.slurm.settings import SlurmSettings, SubmissionSettings

pytestmark = pytest.mark.slurm

# What a user may have exported. Each would lose the job, or hide it from the launcher.
VARIABLES = {
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_PARTITION": "broken",
    "SBATCH_JOB_NAME": "theirs",
    "SBATCH_ARRAY_INX": "7",
    "SBATCH_EXPORT": "NONE",
    "SBATCH_MEM_PER_CPU": "9999",
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_OUTPUT": "/dev/null",
    "SBATCH_SIGNAL": "KILL@10",
    "SBATCH_WAIT": "1",
    "SQUEUE_FORMAT": "%i",
    "SQUEUE_NAMES": "theirs",
    "SQUEUE_PARTITION": "high",
    "SQUEUE_SORT": "i",
    "SQUEUE_STATES": "FAILED",
    "SACCT_FORMAT": "jobid",
    "SLURM_TIME_FORMAT": "%s",
    "SLURM_CLUSTERS": "elsewhere",
    "SLURM_CPU_BIND": "mask_cpu:0xff",
    "SLURM_MEM_PER_NODE": "60",
}
# A step of a job with several tasks and memory per core, in which a user types the command.
OUTER_JOB = ["srun", "--job-name=outer", "--ntasks=1", "--mem-per-cpu=50"]


def test_neither_variables_nor_an_outer_job_change_what_is_submitted(studies: Any) -> None:
    printed = studies.run(
        "study=it.s_one+1", "seed=0", "training.steps=30", "hydra.launcher.partition=debug",
        "hydra.launcher.mem_gb=1", "hydra.launcher.report=false",
        within=[*OUTER_JOB, "env", *(f"{key}={value}" for key, value in VARIABLES.items())],
    )  # fmt: skip
    assert "1 of 1 run is done" in printed
    assert "ignoring SBATCH_ARRAY_INX, " in printed
    (submission,) = studies.submissions()
    shown = studies.cluster.ask("scontrol", "-o", "show", "job", submission["job_id"])
    for expected in (f"JobName={submission['name']} ", "TimeLimit=04:00:00 ", "Partition=debug ",
                     "ArrayTaskId=0 ", "Requeue=1 ", "MinMemoryNode=1G "):  # fmt: skip
        assert expected in shown


def test_a_detached_study_works_from_within_its_driver_and_finds_the_site_defaults(
    studies: Any, wait_for: Callable[..., None]
) -> None:
    """The driver is a job that submits jobs; per_arm and driver are typed as documented."""
    printed = studies.run(
        "seed=0", "training.steps=30", "study=detached", "hydra.launcher.wait=false",
        "hydra.launcher.driver={partition: debug, time_min: 7}",
        """hydra.launcher.per_arm={"data-*": {time_min: 4, mem_gb: 0.5}}""",
        variables={"SBATCH_PARTITION": "short"},
    )  # fmt: skip
    assert "jobs use SBATCH_PARTITION=short" in printed
    times = {one["resources"]["time_min"] for one in studies.submissions()}
    partitions = {one["resources"]["partition"] for one in studies.submissions()}
    assert (times, partitions) == ({4}, {"short"})
    driver = studies.cluster.ask("scontrol", "-o", "show", "job", printed.split("driver job ")[1]
                                 .split(",")[0])  # fmt: skip
    assert "Partition=debug " in driver and "TimeLimit=00:07:00 " in driver
    wait_for((studies.outputs / "detached" / "report.html").exists, seconds=400)
    assert set(studies.statuses("detached").values()) == {"done"}


def test_a_launch_waits_for_a_controller_that_does_not_respond(studies: Any) -> None:
    studies.cluster.stop_controller()
    process = studies.start("seed=0", "training.steps=30", "hydra.launcher.report=false")
    lines: list[str] = []
    deadline = time.monotonic() + 90
    while not any("Slurm is not responding" in line for line in lines):
        assert time.monotonic() < deadline and process.poll() is None, lines
        lines.append(process.stdout.readline())
    studies.cluster.start_controller()
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert "1 of 1 run is done" in printed
    assert len(studies.queue()) == 0


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"partition": "brokn"}, "hydra.launcher.partition=brokn: expected one of debug, high, "),
        ({"partition": "broken"}, "expected a partition that is up, but broken is DOWN"),
        ({"partition": "short"}, "time_min=240: expected at most 5, the time limit of partition "),
        ({"partition": "short", "time_min": 5, "mem_gb": 1}, "mem_gb=1: expected at most 0.9766"),
        ({"partition": "short", "time_min": 5}, "mem_gb=null: expected at most 0.9766, since jobs"),
        ({"partition": "short", "time_min": 5, "cpus": 2}, "cpus=2: expected at most 1"),
        ({"cpus": 3}, "hydra.launcher.cpus=3: expected at most 2"),
        ({"mem_gb": 4}, "hydra.launcher.mem_gb=4: expected at most 3.906"),
        ({"gpus": 1}, "hydra.launcher.gpus=1: expected at most 0 GPUs per node"),
        ({"nodes": 2, "ranks": 2}, "hydra.launcher.nodes=2: expected at most 1"),
        ({"constraint": "a100"}, "hydra.launcher.constraint=a100: expected null"),
        ({"sbatch": ("--reservation=x",)}, "Requested reservation is invalid"),
        ({"sbatch": ("--licenses=x:1",)}, "Invalid license specification"),
        ({"sbatch": ("--nodelist=nowhere",)}, "Invalid node name specified"),
        ({"sbatch": ("--no-such-option",)}, "unrecognized option '--no-such-option'"),
        ({}, ""),
        ({"partition": "broken,high", "cpus": 2, "mem_gb": 3}, ""),
    ],
)
def test_requests_that_would_wait_forever_are_refused(
    cluster: Cluster, request_: dict[str, Any], message: str
) -> None:
    submission = SubmissionSettings(ArmResources(Resources(**request_)))
    settings = SlurmSettings(submission)
    if not message:
        check_requests(settings, ["arm"])
        return
    with pytest.raises(ConfigError) as error:
        check_requests(settings, ["arm"])
    assert message in str(error.value)


def test_a_refused_request_leaves_nothing_behind(studies: Any) -> None:
    printed = studies.run("seed=0", "hydra.launcher.time_min=6",
                          "hydra.launcher.partition=short", code=2)  # fmt: skip
    assert "error: hydra.launcher.time_min=6: expected at most 5" in printed
    assert "help: set hydra.launcher.time_min=5, at which a run saves and is requeued" in printed
    assert not studies.outputs.exists()
    assert studies.queue() == []
