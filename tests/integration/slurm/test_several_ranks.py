"""Runs whose jobs have several ranks train, stop and resume together."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slurm_events import follow_to_end, restarted_runs, send_usr2, task_pids, wait_for_checkpoints

pytestmark = pytest.mark.slurm

TWO = ["hydra.launcher.ranks=2", "hydra.launcher.report=false"]
# Long enough for an event to reach it: an update of two ranks takes about two milliseconds.
LONG = ["training.steps=1500", "checkpoint.every_steps=250", "study=disturbed", "seed=0"]


def curves(studies: Any, study: str = "runs", root: str = "outputs") -> dict[str, list[Any]]:
    """Return kind, step and loss of the rows of each run."""
    return {
        path.parent.name: [
            (row["kind"], row["step"], row["loss"])
            for row in map(json.loads, path.read_text().splitlines())
        ]
        for path in sorted((studies.folder / root / study).glob("*/seed*/metrics.jsonl"))
    }


def ranks_of_sessions(studies: Any, study: str = "runs") -> dict[str, list[int]]:
    return {
        path.parent.name: [one["ranks"] for one in json.loads(path.read_text())["sessions"]]
        for path in sorted((studies.outputs / study).glob("*/seed*/meta.json"))
    }


def identities(studies: Any, root: str = "outputs") -> dict[str, Any]:
    return {
        path.parent.name: json.loads(path.read_text())["identity"]
        for path in sorted((studies.folder / root / "runs").glob("*/seed*/meta.json"))
    }


def logs(studies: Any) -> str:
    """Return the output of all jobs."""
    found = sorted(studies.outputs.glob("*/sweeps/*/slurm/*/*_log.out"))
    return "".join(path.read_text() for path in found)


def pid_of_rank(studies: Any, rank: int) -> int | None:
    for pid in task_pids(studies):
        with contextlib.suppress(OSError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"SLURM_PROCID={rank}".encode() in variables:
                return pid
    return None


def test_a_study_on_two_ranks_a_run(studies: Any) -> None:
    arguments = ["seed=0,1", "training.steps=30", "training.log_every=1"]
    studies.run(*arguments, *TWO)
    assert set(studies.statuses().values()) == {"done"}
    assert ranks_of_sessions(studies) == {"seed0": [2], "seed1": [2]}
    studies.run(*arguments, "output_root=here", "hydra.launcher.report=false", slurm=False)
    ours, theirs = curves(studies), curves(studies, root="here")
    assert ours.keys() == theirs.keys() == {"seed0", "seed1"}
    for seed, rows in ours.items():
        assert [row[:2] for row in rows] == [row[:2] for row in theirs[seed]]
        apart = (abs(a[2] - b[2]) for a, b in zip(rows, theirs[seed], strict=True))
        assert max(apart) < 1e-4
    (submission,) = studies.submissions()
    assert submission["resources"]["ranks"] == 2
    assert identities(studies) == identities(studies, root="here"), (
        "the number of ranks does not change the identity"
    )


@pytest.mark.parametrize("at_start", [False, True], ids=["training", "at_start"])
def test_usr2_stops_all_ranks_and_requeues_the_job(
    studies: Any, wait_for: Callable[..., None], at_start: bool
) -> None:
    process = studies.start(*LONG, *TWO)
    if at_start:
        wait_for(lambda: pid_of_rank(studies, 1) is not None)
    else:
        wait_for_checkpoints(studies, wait_for, 1)

    def is_saved() -> bool:
        if "preempted" in studies.statuses("disturbed").values():
            return True
        send_usr2(studies)  # ignored before a rank handles signals
        return False

    wait_for(is_saved, seconds=60)
    stopped = studies.statuses("disturbed", "step")
    wait_for(lambda: studies.queue() == ["PENDING"], seconds=30)
    follow_to_end(studies, [*LONG, *TWO], process)
    assert list(studies.statuses("disturbed").values()) == ["done"]
    assert ranks_of_sessions(studies, "disturbed") == {"seed0": [2, 2]}
    assert restarted_runs(studies) == []
    (step,) = stopped.values()
    printed = logs(studies)
    assert f"at step {step}\n" in printed, "it resumed at the step where it stopped"
    assert "Traceback" not in printed
    assert re.findall(r"^(?:rank \d+: )?error:.*", printed, flags=re.M) == []
    assert len(studies.submissions()) == 1, "its own job was requeued"


@pytest.mark.parametrize("rank", [0, 1])
def test_the_job_of_a_killed_rank_is_submitted_again(
    studies: Any, wait_for: Callable[..., None], rank: int
) -> None:
    process = studies.start(*LONG, *TWO)
    wait_for_checkpoints(studies, wait_for, 1)
    pid = pid_of_rank(studies, rank)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    printed, _ = process.communicate(timeout=90)
    assert process.returncode == 0, printed
    assert "; resubmitting" in printed
    assert list(studies.statuses("disturbed").values()) == ["done"]
    assert ranks_of_sessions(studies, "disturbed") == {"seed0": [2, 2]}
    assert restarted_runs(studies) == []
    errors = re.findall(r"error: (rank .*) exited without reporting an error", logs(studies))
    assert len(errors) == 1, "one rank reports it, once"
    assert errors[0].startswith(f"rank {rank} of 2")


def test_a_failing_rank_is_not_retried(studies: Any) -> None:
    arguments = [
        "model.ffn._target_=faults_for_slurm.Faulty",
        "model.ffn=silu",
        "training.steps=30",
    ]
    studies.run(*arguments, *TWO, code=1)
    assert list(studies.statuses().values()) == ["failed"]
    assert len(studies.submissions()) == 1
    assert studies.cluster.ask("squeue", "-h", "-t", "all", "-o", "%T").split()[-1] == "FAILED"
    assert logs(studies).count("ValueError: a fault of the test\n") >= 1
