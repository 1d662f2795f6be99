"""Whatever a cluster does to its jobs, each run ends with the weights of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slurm_events import (
    follow_to_end,
    job_ids,
    release,
    restarted_runs,
    send_usr2,
    task_pids,
    wait_for_checkpoints,
)

pytestmark = pytest.mark.slurm

# Seconds of training: several times the delay until an event reaches its run.
LONG = ["training.steps=3000", "checkpoint.every_steps=250", "study=disturbed"]


def preempt(studies: Any) -> None:
    """Occupy the whole node for a second with a job of the high-priority partition."""
    studies.cluster.ask(
        "sbatch", "-p", "high", f"-c{studies.cluster.cpus}", "-o/dev/null", "--wrap=sleep 1"
    )


def requeue(studies: Any) -> None:
    for job in job_ids(studies):
        studies.cluster.ask("scontrol", "requeue", job, check=False)


def kill_tasks(studies: Any) -> None:
    for pid in task_pids(studies):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def cancel(studies: Any) -> None:
    for one in studies.submissions():
        studies.cluster.ask("scancel", str(one["job_id"]), check=False)


def restart_node(studies: Any) -> None:
    studies.cluster.kill_node()
    time.sleep(1)
    studies.cluster.start_node()


def warn(studies: Any) -> None:
    """Send SIGTERM, as a preemption without a user-defined signal does first."""
    for job in job_ids(studies):
        studies.cluster.ask("scancel", "--signal=TERM", job, check=False)


def restart_controller(studies: Any) -> None:
    """Stop the controller for longer than two queries of the launcher."""
    studies.cluster.stop_controller()
    time.sleep(3)
    studies.cluster.start_controller()


EVENTS = [
    preempt, send_usr2, requeue, kill_tasks, cancel, restart_node, warn, restart_controller,
]  # fmt: skip


@pytest.fixture(scope="session")
def known() -> dict[tuple[str, ...], dict[str, bytes]]:
    """Weights of undisturbed studies, by their arguments."""
    return {}


@pytest.fixture
def undisturbed(
    studies: Any, known: dict[tuple[str, ...], dict[str, bytes]]
) -> Callable[[list[str]], dict[str, bytes]]:
    """Returns the weights of the same study, trained locally without events."""

    def find(arguments: list[str]) -> dict[str, bytes]:
        key = tuple(arguments)
        if key not in known:
            studies.run(
                *arguments, "output_root=undisturbed", "hydra.launcher.report=false", slurm=False
            )
            known[key] = studies.weights("disturbed", root="undisturbed")
        return known[key]

    return find


@pytest.mark.parametrize(
    "event", [one for one in EVENTS if one is not send_usr2], ids=lambda event: event.__name__
)
def test_a_run_survives_an_event(
    studies: Any,
    wait_for: Callable[..., None],
    undisturbed: Callable[[list[str]], dict[str, bytes]],
    event: Callable[..., None],
) -> None:
    arguments = [*LONG, "seed=0"]
    expected = undisturbed(arguments)
    arguments.append("hydra.launcher.report=false")
    process = studies.start(*arguments)
    wait_for_checkpoints(studies, wait_for, 1)
    event(studies)
    printed = follow_to_end(studies, arguments, process)
    assert studies.weights("disturbed") == expected
    assert restarted_runs(studies) == []
    if event is cancel:
        assert "was cancelled; rerun the command to resume" in printed
    elif event in (warn, restart_controller):
        assert set(studies.sessions("disturbed").values()) == {1}, "it continued training"
    elif event is not restart_node:
        assert max(studies.sessions("disturbed").values()) > 1, "the event hit nothing"


def test_a_run_at_its_time_limit_saves_and_is_requeued(
    studies: Any, wait_for: Callable[..., None]
) -> None:
    arguments = ["training.steps=9000000", "study=disturbed", "seed=0",
             "hydra.launcher.time_min=1", "hydra.launcher.signal_seconds=55"]  # fmt: skip
    process = studies.start(*arguments)
    status = studies.outputs / "disturbed"

    def is_saved() -> bool:
        return "preempted" in studies.statuses("disturbed").values()

    wait_for(is_saved, seconds=100)
    assert status.exists()
    wait_for(lambda: bool(job_ids(studies, "PENDING")), seconds=30)

    def has_resumed() -> bool:
        release(studies)
        return set(studies.sessions("disturbed").values()) == {2}

    wait_for(has_resumed)
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    "case", ["at_start", "while_saving", pytest.param("twice", marks=pytest.mark.exhaustive)]
)
def test_a_run_survives_usr2_at_any_moment(
    studies: Any,
    wait_for: Callable[..., None],
    undisturbed: Callable[[list[str]], dict[str, bytes]],
    case: str,
) -> None:
    arguments = [*LONG, "seed=0"]
    if case == "while_saving":  # it saves after every step
        arguments.append("checkpoint.every_steps=1")
        arguments[0] = "training.steps=1500"
    expected = undisturbed(arguments)
    arguments.append("hydra.launcher.report=false")
    process = studies.start(*arguments)
    if case == "at_start":
        wait_for(lambda: bool(job_ids(studies)))
        for _ in range(5):
            send_usr2(studies)
            time.sleep(0.2)
    else:
        wait_for_checkpoints(studies, wait_for, 1)
        send_usr2(studies)
        if case == "twice":
            time.sleep(0.1)
            send_usr2(studies)
    follow_to_end(studies, arguments, process)
    assert studies.weights("disturbed") == expected
    assert restarted_runs(studies) == []
    if case != "at_start":  # it may come before the run starts
        assert set(studies.sessions("disturbed").values()) == {2}, "it saved and was requeued"


def test_usr2_to_one_job_of_an_array_leaves_the_others_alone(
    studies: Any, wait_for: Callable[..., None]
) -> None:
    arguments = [*LONG, "seed=0,1", "hydra.launcher.report=false"]
    process = studies.start(*arguments)
    wait_for_checkpoints(studies, wait_for, 2)
    # The last job of an array has the array's own number.
    studies.cluster.ask("scancel", "--signal=USR2", next(
        job for job in job_ids(studies) if job.endswith("_1")
    ))  # fmt: skip
    follow_to_end(studies, arguments, process)
    assert sorted(studies.sessions("disturbed").values()) == [1, 2]


def test_usr2_to_an_array_with_waiting_jobs_is_harmless_however_often_it_arrives(
    studies: Any,
    wait_for: Callable[..., None],
    undisturbed: Callable[[list[str]], dict[str, bytes]],
) -> None:
    """scancel repeats the signal while any job of the array is pending, up to ten times."""
    arguments = [*LONG, "seed=0,1"]
    expected = undisturbed(arguments)
    arguments += ["hydra.launcher.report=false", "hydra.launcher.array_parallelism=1",
                  "hydra.launcher.arms_per_job=1"]  # fmt: skip
    process = studies.start(*arguments)
    wait_for_checkpoints(studies, wait_for, 1)
    (array,) = {one["job_id"] for one in studies.submissions()}
    command = ["scancel", "--signal=USR2", array]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as signalling:
        follow_to_end(studies, arguments, process)
        signalling.kill()
    assert studies.weights("disturbed") == expected
    assert restarted_runs(studies) == []
    assert max(studies.sessions("disturbed").values()) > 1, "the signal arrived"


def test_slurm_reports_the_job_of_a_failed_run_as_failed(studies: Any) -> None:
    arguments = ["model.ffn._target_=lmlab.nn.ffn.SiLU,faults_for_slurm.Faulty", "model.ffn=silu",
             "training.steps=30"]  # fmt: skip
    printed = studies.run(*arguments, code=1)
    assert "1 done" in printed or "1 of 2 runs are done" in printed
    assert "ValueError: a fault of the test" in printed
    states = studies.cluster.ask("squeue", "-h", "-r", "-t", "all", "-o", "%T").split()[-2:]
    assert sorted(states) == ["COMPLETED", "FAILED"]
    shown = studies.command("status", str(studies.outputs / "runs"))
    assert "ValueError: a fault of the test" in shown
    log = next(line.split("log: ")[1] for line in shown.splitlines() if "log: " in line)
    assert "Traceback" in Path(log).read_text()


def test_status_shows_lost_jobs(studies: Any, wait_for: Callable[..., None]) -> None:
    studies.run("seed=0,1", "training.steps=900000", "hydra.launcher.wait=false")
    wait_for(lambda: len(job_ids(studies)) == 2)
    studies.cluster.clear()
    for path in studies.outputs.glob("*/sweeps/*/slurm/*/submission.json"):
        path.write_text(path.read_text().replace(path.parent.name, "forgotten").replace(
            '"job_id": "', '"job_id": "9'))  # fmt: skip
    shown = studies.command("status", str(studies.outputs / "runs"))
    assert "is lost: Slurm has no record of it" in shown


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [0])
def test_random_events_do_not_change_the_weights(
    studies: Any,
    wait_for: Callable[..., None],
    undisturbed: Callable[[list[str]], dict[str, bytes]],
    seed: int,
) -> None:
    """``LMLAB_SLURM_EVENTS`` sets the number of events; more events disturb more runs."""
    number = int(os.environ.get("LMLAB_SLURM_EVENTS", "4"))
    rng = random.Random(seed)
    runs = ",".join(str(one) for one in range(12 if number >= 30 else 3))
    arguments = [*LONG, f"seed={runs}"]
    expected = undisturbed(arguments)
    arguments.append("hydra.launcher.report=false")
    process = studies.start(*arguments)
    wait_for_checkpoints(studies, wait_for, 1)
    events = []
    for _ in range(number):
        event = rng.choice(EVENTS)
        events.append(event.__name__)
        event(studies)
        deadline = time.monotonic() + rng.uniform(2, 6)
        while time.monotonic() < deadline:
            release(studies)
            time.sleep(0.3)
        if process.poll() is not None:
            process.communicate()
            process = studies.start(*arguments)
            wait_for(lambda: process.poll() is not None or bool(job_ids(studies)))  # noqa: B023
    print("events:", *events)
    follow_to_end(studies, arguments, process)
    assert studies.weights("disturbed") == expected
    assert restarted_runs(studies) == []
