"""Sweeps of real runs: rerun, resume, kills, edits of files, two launches at once."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_fixtures import FAULTY, Sweeps

WaitFor = Callable[[Callable[[], bool]], None]
SLOW = [FAULTY, "+model.ffn.what=slow"]


def test_a_rerun_trains_nothing_again(sweeps: Sweeps) -> None:
    arguments = ["-m", "model.norm=rms,none", "seed=0,1"]
    printed = sweeps.run(*arguments)
    assert "4 of 4 runs are done" in printed
    runs = sweeps.runs()
    assert len(runs) == 4
    assert {status["status"] for status in runs.values()} == {"done"}
    again = sweeps.run(*arguments)
    assert "4 of 4 runs are done" in again
    assert set(sweeps.sessions().values()) == {1}, "nothing was trained again"
    assert sweeps.runs() == runs
    for name in ("report.html", "report.md", "results.csv"):
        assert (sweeps.outputs / "runs" / name).stat().st_size > 100


@pytest.mark.long
def test_a_sweep_with_a_wider_grid_trains_only_what_is_new(sweeps: Sweeps) -> None:
    sweeps.run("-m", "optim.lr=1e-3,1e-2")
    sweeps.run("-m", "optim.lr=1e-3,3e-3,1e-2")
    assert set(sweeps.sessions().values()) == {1}
    assert len(sweeps.runs()) == 3


@pytest.mark.long
def test_another_study_reuses_matching_runs(sweeps: Sweeps) -> None:
    sweeps.run("-m", "optim.lr=1e-3,1e-2", "study=first")
    printed = sweeps.run("-m", "optim.lr=1e-3,1e-2", "model.norm=rms,post", "study=second")
    assert "4 of 4 runs are done" in printed
    assert len(sweeps.runs("first")) == 2
    assert len(sweeps.runs("second")) == 2, "the matching runs stay in the first study"
    csv = (sweeps.outputs / "second" / "results.csv").read_text()
    assert len(csv.splitlines()) == 5, "and both studies report them"


@pytest.mark.long
def test_editing_a_file_does_not_change_later_jobs(
    sweeps: Sweeps, tmp_path: Path, wait_for: WaitFor
) -> None:
    conf = tmp_path / "own" / "experiment"
    conf.mkdir(parents=True)
    body = "study: edited\ntraining:\n  grad_clip_norm: {clip}\n"
    (conf / "mine.yaml").write_text(body.format(clip=0.5))
    arguments = ["--config-dir", str(conf.parent), "experiment=mine", "-m", "seed=0,1,2,3,4,5"]
    process = sweeps.start(*arguments, "hydra.launcher.jobs_per_device=1")
    wait_for(lambda: len(sweeps.runs("edited")) >= 1)
    (conf / "mine.yaml").write_text(body.format(clip=0.001))
    assert process.wait(timeout=200) == 0
    files = list((sweeps.outputs / "edited").glob("*/seed*/config.yaml"))
    assert len(files) == 6
    assert all("grad_clip_norm: 0.5\n" in path.read_text() for path in files)


@pytest.mark.long
def test_two_launches_of_one_sweep_share_the_work(sweeps: Sweeps) -> None:
    arguments = ["-m", "seed=0,1,2,3,4,5", *SLOW]
    both = [sweeps.start(*arguments) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert all("6 of 6 runs are done" in text for text in printed)
    assert set(sweeps.sessions().values()) == {1}, "no run was written by both"


@pytest.mark.long
def test_ctrl_c_leaves_every_run_resumable(sweeps: Sweeps, wait_for: WaitFor) -> None:
    arguments = ["-m", "seed=0,1,2,3", *SLOW, "training.steps=60"]
    process = sweeps.start(*arguments)
    wait_for(lambda: any(status["step"] > 0 for status in sweeps.runs().values()))
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 130, printed
    assert "rerun the command to resume" in printed
    states = {status["status"] for status in sweeps.runs().values()}
    assert states <= {"interrupted", "done"}
    sweeps.run(*arguments)
    assert {status["status"] for status in sweeps.runs().values()} == {"done"}


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_signal_while_the_fork_server_imports_stops_the_sweep(
    sweeps: Sweeps, wait_for: WaitFor, number: signal.Signals
) -> None:
    arguments = ["-m", "seed=0,1", "runtime.preflight=off"]
    command = [sys.executable, "-m", "lmlab.train", *sweeps.overrides, *arguments]
    process = subprocess.Popen(
        command, cwd=sweeps.folder, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    wait_for(lambda: any("forkserver" in _command(child) for child in _children(process.pid)))
    os.killpg(process.pid, number)
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 130, printed
    assert "rerun the command to resume" in printed
    assert "Traceback" not in printed
    assert "2 of 2 runs are done" in sweeps.run(*arguments)


@pytest.mark.long
@pytest.mark.parametrize(
    ("num_kills", "seeds"), [(2, "0,1"), pytest.param(10, "0,1,2,3", marks=pytest.mark.exhaustive)]
)
def test_kills_change_no_result(
    sweeps: Sweeps, tmp_path: Path, wait_for: WaitFor, num_kills: int, seeds: str
) -> None:
    """Kill the launcher and single jobs in turn, and rerun the sweep each time."""
    arguments = ["-m", "model.norm=rms,none,post", f"seed={seeds}", "training.steps=80"]
    arguments += ["checkpoint.every_steps=10", "optim.lr=1e-3", *SLOW]
    undisturbed = Sweeps(_folder(tmp_path / "undisturbed"), [*sweeps.overrides])
    undisturbed.overrides.append(f"output_root={undisturbed.outputs}")
    undisturbed.run(*arguments)

    chance = random.Random(5)
    sessions_when_done: dict[str, int] = {}
    for kill in range(num_kills):
        process = sweeps.start(*arguments)
        killed = _kill_under_way(sweeps, process, None if kill % 2 == 0 else chance, wait_for)
        wait_for(functools.partial(_have_ended, killed))
        sessions = sweeps.sessions()
        assert all(sessions[run] == number for run, number in sessions_when_done.items())
        done = [run for run, status in sweeps.runs().items() if status["status"] == "done"]
        sessions_when_done |= {run: sessions[run] for run in done}
    sweeps.run(*arguments)
    assert {status["status"] for status in sweeps.runs().values()} == {"done"}
    num_runs = len(undisturbed.runs())
    assert len(sweeps.runs()) == num_runs == 3 * len(seeds.split(","))
    assert sweeps.weights() == undisturbed.weights(), "bit for bit"
    sessions = sweeps.sessions()
    print(f"{num_runs} runs in {sum(sessions.values())} sessions, {max(sessions.values())} at most")
    assert sum(sessions.values()) > num_runs, "some kills interrupted a run"
    for path in (sweeps.outputs / "runs").glob("*/seed*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()
                 if '"train"' in line]  # fmt: skip
        assert steps == sorted(set(steps)), "no step is recorded twice"


def _kill_under_way(
    sweeps: Sweeps, process: subprocess.Popen[str], chance: random.Random | None, wait_for: WaitFor
) -> list[int]:
    """Kill the launcher, or a random job if ``chance`` is given; return its jobs."""
    wait_for(lambda: process.poll() is not None or _jobs(process.pid) != [])
    seen = _steps(sweeps)
    wait_for(lambda: process.poll() is not None or _steps(sweeps) > seen + 30)
    jobs = _jobs(process.pid)
    if chance is None:
        process.kill()
    elif jobs:
        os.kill(chance.choice(jobs), signal.SIGKILL)
    process.communicate(timeout=300)
    return jobs


def _have_ended(processes: list[int]) -> bool:
    return not any(_is_alive(process) for process in processes)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _steps(sweeps: Sweeps) -> int:
    return sum(status.get("step", 0) for status in sweeps.runs().values())


def _jobs(launcher: int) -> list[int]:
    """The processes of a launcher's runs: children of its fork server."""
    return [
        job
        for server in _children(launcher)
        if "forkserver" in _command(server)
        for job in _children(server)
    ]


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _is_alive(process: int) -> bool:
    return bool(_command(process))


if sys.platform != "linux":
    pytest.skip("processes are found through /proc", allow_module_level=True)
