"""Each tracker has the complete history of a run that was killed and resumed, each row once."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from event_files import expected_scalars, read, scalars, without_final
from launching import kill_at
from wandb_runs import history, inspect

from lmlab.run_folder import RunFolder
from lmlab.runs.run_summary import describe


def steps_of(rows: list[dict[str, Any]], kind: str) -> list[float]:
    return [row["step"] for row in rows if f"{kind}/loss" in row]


@pytest.fixture
def killed_run(overrides, train, monkeypatch, tmp_path: Path):
    """A run with a tracker that was killed at step 13, after a checkpoint at 10, and resumed."""

    def run(*more: str) -> RunFolder:
        often = ["training.log_every=2", "checkpoint.every_steps=10", "runtime.preflight=off"]
        often.append("training.diagnose_every=4")
        everything = [*overrides, *often, *more]
        kill = functools.partial(kill_at, 13, tmp_path / "outputs")
        assert train(everything, kill) == -signal.SIGKILL
        (folder,) = (tmp_path / "outputs" / "runs").glob("*/seed0")
        assert RunFolder(folder).rows()[-1]["step"] == 12, "rows after the checkpoint"
        assert train(everything) == 0
        return RunFolder(folder)

    return run


@pytest.mark.long
def test_each_of_two_trackers_has_every_row_once(killed_run, tmp_path: Path, monkeypatch) -> None:
    run = killed_run("logger=[wandb,tensorboard]", "logger.wandb.mode=offline")
    events = run.path / "tensorboard"
    assert without_final(scalars(events)) == expected_scalars(run.rows())
    assert len(list(events.glob("events.out.tfevents.*"))) == 2, "the killed session keeps its file"
    assert read(events).Tensors("samples/text_summary")[0].step == 20
    (folder,) = tmp_path.rglob("offline-run-*")
    assert folder.parent == tmp_path / "outputs" / "runs" / "wandb", "one place per study"
    rows = history(folder)
    has_samples = [any(key.startswith("samples") for key in row) for row in rows]
    for kind in ("train", "validation"):
        expected = [(row["step"], row["loss"]) for row in run.rows(kind)]
        found = [(row["step"], row[f"{kind}/loss"]) for row in rows if f"{kind}/loss" in row]
        assert found == expected
    assert has_samples == [False] * (len(rows) - 1) + [True]
    assert rows[-1]["step"] == 20
    summary = json.loads(inspect(folder, "--summary"))["summary"]
    meta = run.meta()
    assert summary["final/step"] == 20
    assert summary["final/status"] == "done"
    assert summary["final/purpose"] == "run"
    assert summary["final/parameters"] == meta["num_parameters"]
    assert summary["final/commit"] == meta["sessions"][-1]["code"]["commit"]
    # The command that the summary of the run shows works where it was typed.
    monkeypatch.chdir(tmp_path)
    command = next(line for line in describe(run).splitlines() if "wandb sync" in line)
    path = command.split("wandb sync ")[1]
    for target in (path, str(Path(path).parent)):
        sync = [sys.executable, "-m", "wandb", "sync", "--dry-run", target]
        printed = subprocess.run(sync, capture_output=True, text=True, check=True).stderr
        assert "Would sync 1 run(s)" in printed


def trackio_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each trackio run, as trackio itself reads them; in a process of its own."""
    code = (
        "import json, trackio; from trackio.sqlite_storage import SQLiteStorage as storage; "
        "print(json.dumps({run.name: storage.get_logs('lmlab', run.name, run_id=run.id) "
        "for run in trackio.Api().runs('lmlab')}))"
    )
    variables = {**os.environ, "TRACKIO_DIR": str(folder)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_trackio_has_every_row_once_and_keeps_runs_apart(
    killed_run, overrides, train, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    run = killed_run("logger=trackio")
    ((name, rows),) = trackio_rows(tmp_path / "trackio").items()
    for kind in ("train", "validation"):
        assert steps_of(rows, kind) == [row["step"] for row in run.rows(kind)]
    assert [row["step"] for row in rows if "samples" in row] == [20]
    (final,) = (row for row in rows if "final/loss" in row)
    assert final["step"] == 20
    assert final["final/parameters"] == run.meta()["num_parameters"]
    # The same names in another output folder are another run.
    assert train([*overrides, "logger=trackio", f"output_root={tmp_path / 'other'}"]) == 0
    names = set(trackio_rows(tmp_path / "trackio"))
    assert len(names) == 2
    assert name in names
