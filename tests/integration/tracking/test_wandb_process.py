"""The training process never waits for wandb, and survives each of its failures."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wandb_runs import ROWS, history, offline_folders, start

from lmlab.tracking import wandb_process


@pytest.mark.long
def test_a_resumed_run_keeps_its_id_and_leaves_one_whole_folder(tmp_path: Path) -> None:
    ids = []
    for earlier, row in (([], ROWS[0]), (ROWS[:1], ROWS[1])):
        tracker = start(tmp_path, earlier_rows=earlier, resumed=bool(earlier))
        tracker.log(row)
        tracker.finish(0)
        (folder,) = offline_folders(tmp_path)
        ids.append(folder.name.rsplit("-", 1)[1])
        time.sleep(1.1)  # the folders' names hold the second
    assert ids[0] == ids[1]
    assert [row["step"] for row in history(folder)] == [0, 10]


FAULTY = """
import time, types
def Table(**content): return None
def teardown(exit_code): pass
def setup(): return types.SimpleNamespace(settings=types.SimpleNamespace(base_url="http://x"))
def Settings(**settings): return None
class Run:
    dir, id = "faulty-wandb/run/files", "id"
    def define_metric(self, *names, **settings): pass
    def log(self, row): {log}
    def finish(self, exit_code): {finish}
def init(**settings): {init}
"""


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"init": "raise RuntimeError('no service')"}, "cannot start (RuntimeError: no service)"),
        ({"log": "raise RuntimeError('gone')"}, "stopped (RuntimeError: gone)"),
        ({"log": "import os; os._exit(3)"}, "crashed"),
        ({"finish": "time.sleep(60)"}, "did not end in time"),
        ({"finish": "raise RuntimeError('late')"}, "crashed"),
    ],
)
def test_a_failure_of_wandb_ends_the_tracking_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    faults: dict[str, str],
    message: str,
) -> None:
    """A module named wandb fails in one way; the training side is real."""
    if message == "did not end in time":
        monkeypatch.setattr(wandb_process, "FINISH_SECONDS", 4.0)
    (tmp_path / "faulty").mkdir()
    code = FAULTY.format(**{"log": "pass", "finish": "pass", "init": "return Run()"} | faults)
    (tmp_path / "faulty" / "wandb.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "faulty")
    tracker = start(tmp_path)
    started = time.monotonic()
    for _ in range(3):
        tracker.log(ROWS[0])
    tracker.samples([])
    assert time.monotonic() - started < 1, "no call blocks the run"
    tracker.finish(0)
    assert time.monotonic() - started < 20
    assert caplog.text.count(message) == 1
    assert len([record for record in caplog.records if record.name == "lmlab.tracking"]) == 1


@pytest.mark.parametrize("reason", ["the first update", "a long wait", "the end"])
def test_wandb_starts_after_the_first_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Importing wandb occupies a core for a second, which would delay the first update."""
    imported, is_long_wait = tmp_path / "imported", reason == "a long wait"
    monkeypatch.setattr(wandb_process, "START_SECONDS", 2.0 if is_long_wait else 600.0)
    (tmp_path / "faulty").mkdir()
    code = f"open({str(imported)!r}, 'w').close()\n"
    code += FAULTY.format(log="pass", finish="pass", init="return Run()")
    (tmp_path / "faulty" / "wandb.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "faulty")
    earliest = time.time() + 2
    tracker = start(tmp_path)
    tracker.log(ROWS[0])
    if not is_long_wait:
        time.sleep(1)
        assert not imported.exists()
    if reason == "the first update":
        tracker.log(ROWS[1])
    if reason != "the end":
        deadline = time.monotonic() + 30
        while not imported.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    tracker.finish(0)
    assert imported.exists()
    if is_long_wait:
        assert imported.stat().st_mtime > earliest


def test_a_killed_run_leaves_its_rows(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time; from pathlib import Path; "
        "from lmlab.tracking import RunInfo, wandb_tracker; "
        "tracker = wandb_tracker(RunInfo(Path('run'), 'a', 'b', (), {}), project='p', mode='auto');"
        "tracker.log(dict(kind='train', step=3, tokens=1, seconds=1.0, loss=2.0))\n"
        "while not tracker._lines.empty(): time.sleep(0.01)\n"
        "time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    assert killed.returncode == -9
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = offline_folders(tmp_path)
        if found and "train/loss" in json.dumps(history(found[0])):
            break
        time.sleep(0.5)
    else:
        pytest.fail("the row is not in wandb's file")
