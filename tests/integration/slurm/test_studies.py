"""Complete studies under a real Slurm have the results of a local launch."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slurm

SIX = ["training.steps=30", "seed=0,1,2", "model.norm=rms,post"]


def without_timing(table: Path) -> list[list[str]]:
    """Return a table of results without the columns that depend on speed or folders."""
    rows = [line.split(",") for line in table.read_text().splitlines()]
    kept = [at for at, name in enumerate(rows[0]) if not re.search(r"second|place|folder", name)]
    return [[row[at] for at in kept] for row in rows]


def test_six_runs_equal_those_of_the_local_launcher(studies: Any) -> None:
    printed = studies.run(*SIX, "hydra.launcher.array_parallelism=4")
    assert "6 of 6 runs are done" in printed
    assert printed.count("2 runs in 2 jobs") == 3, "Slurm allows two jobs in an array"
    throttles = studies.cluster.ask("scontrol", "-o", "show", "job")
    assert sorted(set(re.findall(r"ArrayTaskThrottle=(\d+)", throttles))) == ["1", "2"]
    studies.run(*SIX, "output_root=here", slurm=False)
    under, here = studies.weights(), studies.weights(root="here")
    assert len(under) == 6
    assert under == here
    table = "runs/results.csv"
    assert without_timing(studies.outputs / table) == without_timing(
        studies.folder / "here" / table
    )
    meta = next((studies.outputs / "runs").glob("*/seed0/meta.json"))
    session = json.loads(meta.read_text())["sessions"][0]
    assert session["code"]["commit"], "a snapshot records the version of its code"


def test_a_detached_search_runs_to_its_report(studies: Any, wait_for: Callable[..., None]) -> None:
    printed = studies.run(
        "experiment=lr_search", "study=search", "training.steps=20", "design.num_seeds=1",
        "design.num_tuning_seeds=1", "design.extra_seeds=0", "hydra.launcher.wait=false",
    )  # fmt: skip
    assert "which drives the study" in printed
    report = studies.outputs / "search" / "report.html"
    wait_for(report.exists, seconds=500)
    shown = studies.command("status", str(studies.outputs / "search"))
    assert set(studies.statuses("search").values()) <= {"done", "diverged"}
    assert "driver" in shown


def test_no_run_is_submitted_twice(studies: Any, wait_for: Callable[..., None]) -> None:
    seeds = ",".join(str(number) for number in range(50))
    arguments = [f"seed={seeds}", "training.steps=5", "hydra.launcher.wait=false"]
    studies.run("seed=100", "training.steps=5", slurm=False)  # prepares tokenizer and token files
    node = f"NodeName={studies.cluster.host}"
    studies.cluster.ask("scontrol", "update", node, "State=DRAIN", "Reason=test")
    try:
        started = time.monotonic()
        studies.run(*arguments)
        print(f"50 arms submitted in {time.monotonic() - started:.1f} s")
        assert len(studies.queue()) == 51  # and the driver
        printed = studies.run(*arguments)
        assert "50 submitted" in printed
        # Another sweep shares two of its four runs.
        printed = studies.run("seed=48,49,50,51", "training.steps=5", "hydra.launcher.wait=false")
        assert "2 runs in 2 jobs" in printed
        assert len(studies.queue()) == 51 + 3
        studies.cluster.ask("scontrol", "update", "PartitionName=debug", "State=DOWN")
        wait_for(lambda: "PartitionDown" in studies.cluster.ask("squeue", "-h", "-o", "%r"))
        shown = studies.command("status", str(studies.outputs / "runs"))
        assert "4 queued" in shown
        assert "(PartitionDown)" in shown
    finally:
        studies.cluster.ask("scontrol", "update", "PartitionName=debug", "State=UP")
        studies.cluster.ask("scontrol", "update", node, "State=RESUME")


def test_a_launcher_killed_while_submitting_loses_no_job(
    studies: Any, wait_for: Callable[..., None]
) -> None:
    arguments = ["seed=0,1", "training.steps=400"]
    process = studies.start(*arguments)
    wait_for(lambda: bool(studies.queue()))  # sbatch has returned; its number may not be recorded
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for path in studies.outputs.glob("*/sweeps/*/slurm/*/submission.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"job_id": None}))
    printed = studies.run(*arguments)
    assert "2 of 2 runs are done" in printed
    assert len(studies.submissions()) == 1
    assert set(studies.sessions().values()) == {1}


def test_two_launches_at_once_submit_each_run_once(studies: Any) -> None:
    studies.run("seed=100", "training.steps=5", slurm=False)
    arguments = ["seed=0,1,2", "training.steps=200"]
    both = [studies.start(*arguments) for _ in range(2)]
    for process in both:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
    assert sum(len(one["runs"]) for one in studies.submissions()) == 3
    assert set(studies.sessions().values()) == {1}


def test_arms_share_jobs_and_request_separate_resources(studies: Any) -> None:
    printed = studies.run(
        "model.norm=rms,post", "seed=0,1,2", "training.steps=30",
        "hydra.launcher.arms_per_job=2", "hydra.launcher.cpus=2", "hydra.launcher.report=false",
        "+hydra.launcher.per_arm={*post*:{time_min:7}}",
    )  # fmt: skip
    assert printed.count("3 runs in 2 jobs") == 2
    assert set(studies.statuses().values()) == {"done"}
    asked = {
        (run["job"]["arm"].partition("+")[0], one["resources"]["time_min"])
        for one in studies.submissions()
        for run in one["runs"]
    }
    assert asked == {("model.norm-rms", 240), ("model.norm-post", 7)}
