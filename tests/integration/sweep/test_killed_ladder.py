"""A ladder that is killed again and again ends with the report of one that was left alone."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from simulated_hosts import children, is_tracker
from sweep_fixtures import Sweeps
from warm import Process, run_command

from lmlab.storage.io import hash_json
from lmlab.study.ladders.seals import SEALS_FILE, Seal, read_seals

if sys.platform != "linux":
    pytest.skip("processes are found through /proc", allow_module_level=True)

WaitFor = Callable[[Callable[[], bool]], None]
RUNGS = [(4, 30), (8, 40), (12, 60), (16, 90)]  # width and steps
LADDER = [
    "experiment=ladder", "ladder=given", "study=ladder", "output_root=outputs",
    f"ladder.rungs={[[f'model.d_model={d}', f'training.steps={n}'] for d, n in RUNGS]}",
    "~design.arms", "+design.arms={baseline: [], nope: ['model.pos=nope']}",
    "design.lr=transfer", "design.search_rungs=2", "design.num_seeds=2",
    "design.num_tuning_seeds=1", "design.confirm_rate=never", "optim.lr=0.03",
    "model.context_length=8", "model.num_layers=1", "model.num_heads=1",
    "training.batch_size=4", "validation.every_steps=20", "validation.max_tokens=2000",
    "checkpoint.every_steps=2", "samples.max_new_tokens=4", "runtime.preflight=off",
    "hydra.launcher.jobs_per_device=2",
]  # fmt: skip
TARGETS = ("driver", "job", "fork server", "all of them", "Ctrl-C")
REPORT = ("report.md", "report.json", "report.html", "results.csv")
TIME = "2026-01-01T00:00:00Z"


@pytest.mark.long
@pytest.mark.parametrize(
    "num_kills", [len(TARGETS), pytest.param(2 * len(TARGETS), marks=pytest.mark.exhaustive)]
)
def test_random_kills_change_neither_report_nor_seal(
    tmp_path: Path, overrides: list[str], wait_for: WaitFor, num_kills: int
) -> None:
    left_alone, killed = (_ladder_in(tmp_path / name, overrides) for name in ("calm", "kills"))
    left_alone.run()
    total = len(left_alone.runs("ladder"))
    chance, events = random.Random(20), []
    process = killed.start()
    for kill in range(num_kills):
        # Spread over the whole ladder, whatever the speed of the machine.
        wanted = 0.95 * total * (kill + chance.random()) / num_kills
        process = _follow(killed, process, wanted)
        target = TARGETS[kill % len(TARGETS)]
        events.append((target, round(_progress(killed), 1), _strike(process, target, chance)))
    process.communicate(timeout=100)
    printed = killed.run()
    print(f"of {total} runs:", *events, sep="\n")
    assert f"{total} of {total} runs are done" in printed

    assert killed.weights("ladder") == left_alone.weights("ladder"), "bit for bit"
    assert sum(killed.sessions("ladder").values()) > total, "some kills interrupted a run"
    (seal,), (expected,) = _seals(killed), _seals(left_alone)
    assert seal.losses and dataclasses.replace(seal, time=expected.time) == expected
    starts = {
        path.parent: json.loads(path.read_text())["sessions"][0]["time"]
        for path in (killed.outputs / "ladder").glob(f"r{len(RUNGS)}-*/seed*/meta.json")
    }
    assert len(starts) > 6 and min(starts.values()) >= seal.time
    reports = [_report_without_times(one) for one in (killed, left_alone)]
    for name in REPORT:
        assert reports[0][name] == reports[1][name], name
    assert "forecast" in reports[0]["report.md"]


def _ladder_in(folder: Path, overrides: list[str]) -> Sweeps:
    folder.mkdir()
    set_here = {one.partition("=")[0] for one in LADDER}
    set_here |= {"model.d_model", "training.steps", "schedule.warmup_steps"}
    kept = [one for one in overrides if one.partition("=")[0] not in set_here]
    return Sweeps(folder, [*kept, *LADDER])


def _progress(ladder: Sweeps) -> float:
    """Number of runs that are done; those under way count in part."""
    return sum(one["step"] / max(1, one["steps"]) for one in ladder.runs("ladder").values())


def _follow(ladder: Sweeps, process: Process, wanted: float) -> Process:
    """Launch the ladder again where it has ended, until so much of it is done and a job runs."""
    deadline = time.monotonic() + 400
    while True:
        if process.poll() is not None:
            printed, _ = process.communicate()
            assert process.returncode not in (0, 2), printed
            process = ladder.start()
        if _progress(ladder) >= wanted and _jobs(process):
            return process
        assert time.monotonic() < deadline, f"{_progress(ladder)} of {wanted} runs"
        time.sleep(0.02)


def _strike(process: Process, target: str, chance: random.Random) -> int:
    """End processes of a launch; return how many."""
    servers, jobs = _servers(process), _jobs(process)
    chosen = {
        "driver": [process.pid],
        "job": [chance.choice(jobs)] if jobs else [],
        "fork server": servers,
        "all of them": [process.pid, *servers, *jobs],
    }
    if target == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
        return 1
    for one in chosen[target]:
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has just ended
    return len(chosen[target])


def _servers(process: Process) -> list[int]:
    return [one for one in children(process.pid) if not is_tracker(one)]


def _jobs(process: Process) -> list[int]:
    return [job for server in _servers(process) for job in children(server)]


def _seals(ladder: Sweeps) -> tuple[Seal, ...]:
    found = read_seals(ladder.outputs / "ladder" / SEALS_FILE)
    assert not found.problems
    return found.seals


def _report_without_times(ladder: Sweeps) -> dict[str, str]:
    """Return the report of the ladder as if all machines had been equally fast."""
    study = ladder.outputs / "ladder"
    for path in study.glob("*/seed*/metrics.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row |= {key: float(row["step"]) for key in ("seconds", "tokens_per_second")
                    if key in row}  # fmt: skip
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for path in study.glob("*/seed*/status.json"):
        status = json.loads(path.read_text())
        path.write_text(json.dumps(status | {"time": TIME, "seconds": float(status["step"])}))
    for path in study.glob("*/seed*/meta.json"):
        meta = json.loads(path.read_text())
        for session in meta["sessions"]:
            session["time"] = TIME
        path.write_text(json.dumps(meta))
    row = json.loads((study / SEALS_FILE).read_text()) | {"time": TIME}
    row["hash"] = hash_json({key: value for key, value in row.items() if key != "hash"})
    (study / SEALS_FILE).write_text(json.dumps(row) + "\n")
    done = run_command("report", "outputs/ladder", cwd=ladder.folder)
    assert done.returncode == 0, done.stderr
    texts = {name: (study / name).read_text() for name in REPORT}
    return {name: re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", TIME, one)
            for name, one in texts.items()}  # fmt: skip
