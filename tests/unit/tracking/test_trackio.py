"""Rows in trackio's own database, and a run that its failures do not touch."""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lmlab.errors import ConfigError
from lmlab.tracking import RunInfo, trackio_tracker
from lmlab.tracking.guarded_tracker import GuardedTracker
from lmlab.tracking.trackio import TrackioTracker, _muted

ROWS = [
    {"kind": "validation", "step": 0, "tokens": 0, "seconds": 0.0, "loss": 7.0},
    {"kind": "train", "step": 10, "tokens": 320, "seconds": 1.5, "loss": 5.0, "lr": 1e-3},
]


def info(tmp_path: Path) -> RunInfo:
    config = {"model": {"d_model": 8}}
    return RunInfo(tmp_path / "run", "arm/seed0", "study", ("toystories",), config)


def test_rows_can_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trackio = pytest.importorskip("trackio")
    for module in (trackio.utils, trackio.sqlite_storage):  # read from TRACKIO_DIR when imported
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "store")
    tracker = trackio_tracker(info(tmp_path), project="lmlab")
    for row in ROWS:
        tracker.log(row)
    tracker.samples([{"prompt": "Once", "text": " upon a time", "step": 10}])
    tracker.summary({"loss": 4.5, "best_step": None, "step": 10})
    tracker.finish(0)
    assert capsys.readouterr().out == ""
    with sqlite3.connect(tmp_path / "store" / "lmlab.db") as database:
        rows = database.execute("select run_name, step, metrics from metrics").fetchall()
        recorded = str(rows)
    (name,) = {row[0] for row in rows}
    assert name.startswith("study/arm/seed0 (")
    for part in ('"validation/loss":7.0', '"train/lr":0.001', '"final/loss":4.5', "upon a time"):
        assert part in recorded
    assert [row[1] for row in rows] == [0, 10, 10, 10]


def test_runs_of_one_process_end_separately(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    trackio = pytest.importorskip("trackio")
    for module in (trackio.utils, trackio.sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "store")
    one, other = (TrackioTracker(trackio, init={"project": "stack", "name": name}) for name in "ab")
    one.log(ROWS[0])
    one.finish(0)
    other.log(ROWS[1])
    other.finish(0)
    (database,) = (tmp_path / "store").glob("*.db")
    rows = sqlite3.connect(database).execute("select run_name, step from metrics").fetchall()
    assert rows == [("a", 0), ("b", 10)]
    assert not caplog.records and capsys.readouterr().out == ""


def test_a_missing_package_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ConfigError, match=r"pip install 'lmlab\[trackio\]'"):
        trackio_tracker(info(tmp_path), project="lmlab")


class Broken:
    """A library whose disk is full from the second row on."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def init(self, **settings: Any) -> Broken:
        return self

    def log(self, row: dict[str, Any], step: int | None = None) -> None:
        if self.rows:
            raise sqlite3.OperationalError("database or disk is full")
        self.rows.append(row)

    def finish(self) -> None:
        raise sqlite3.OperationalError("database or disk is full")


def test_a_failure_ends_the_tracking_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    library = Broken()
    init = {"project": "p", "name": "n", "server_url": "http://nowhere"}
    tracker = GuardedTracker(
        lambda: TrackioTracker(library, init=init), name="trackio", remedy="send it later"
    )
    with caplog.at_level(logging.WARNING):
        for row in [*ROWS, *ROWS]:
            tracker.log(row)
        tracker.summary({"loss": 1.0})
        tracker.finish(0)
    assert len(library.rows) == 1
    (message,) = (record.getMessage() for record in caplog.records)
    assert "trackio raised OperationalError: database or disk is full" in message


def test_what_others_print_meanwhile_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """trackio prints in the thread of the tracker; the output of the run is not lost."""
    with _muted():
        print("of trackio")
        other = threading.Thread(target=print, args=["of the run"])
        other.start()
        other.join()
    assert capsys.readouterr().out == "of the run\n"
