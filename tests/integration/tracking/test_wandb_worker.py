"""What wandb records of a run, and what the worker does about servers that fail."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from wandb_runs import (
    KEY,
    ROWS,
    black_hole,
    history,
    inspect,
    offline_folders,
    refusing,
    serving,
    start,
)

from lmlab.tracking.wandb_process import WandbTracker


def test_rows_samples_and_summary_can_be_read_back(tmp_path: Path) -> None:
    tracker = start(tmp_path)
    assert isinstance(tracker, WandbTracker)
    for row in ROWS:
        tracker.log(row)
    tracker.samples([{"prompt": "Once", "text": " upon a time", "step": 10}])
    tracker.summary({"loss": 4.5, "best_step": 10})
    tracker.finish(0)

    (folder,) = offline_folders(tmp_path)
    recorded = json.dumps(history(folder))
    for key in ("train/loss", "validation/loss", "validation/bits_per_byte", "by_tokens/train_loss",
                "by_seconds/validation_loss", "train/lr", "samples"):  # fmt: skip
        assert key in recorded, recorded
    summary = inspect(folder, "--summary")
    for part in ("final/loss", "4.5", "arm/seed0", "study", "toystories", '"d_model": 8'):
        assert part in summary + inspect(folder), part
    (table,) = folder.rglob("*.table.json")
    assert json.loads(table.read_text())["data"] == [["Once", " upon a time", 10]]
    axes = [json.loads(line) for line in inspect(folder).splitlines() if '"metric"' in line]
    recorded = json.dumps(axes)
    assert all(f'"{axis}"' in recorded for axis in ("step", "tokens", "seconds"))
    written = {path.name for path in tmp_path.iterdir()}
    assert "wandb" not in written, "files belong to the run folder"


def test_without_a_key_the_run_is_offline_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(tmp_path).finish(0)
    assert len(offline_folders(tmp_path)) == 1
    assert [record for record in caplog.records if record.name.startswith("lmlab")] == []
    start(tmp_path, "online").finish(0)
    assert "no API key is set" in caplog.text


SERVERS = {
    "bad key": (lambda: serving(401, b"{}"), "rejects the API key (HTTP 401)"),
    "unknown key": (lambda: serving(200, b'{"data": {"viewer": null}}'), "does not know"),
    "broken": (lambda: serving(500, b"oops"), "HTTP 500"),
    "no network": (refusing, "cannot be reached"),
    "black hole": (black_hole, "is not responding"),
}


@pytest.mark.parametrize(
    "kind",
    ["no network", "bad key", *(pytest.param(kind, marks=pytest.mark.long)
                                for kind in ("unknown key", "broken", "black hole"))],
)  # fmt: skip
def test_a_failing_server_means_offline_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    make, message = SERVERS[kind]
    for url in make():
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", url)
        started = time.monotonic()
        tracker = start(tmp_path)
        tracker.log(ROWS[0])
        waited = time.monotonic() - started
        tracker.finish(0)
        ended = time.monotonic() - started
    print(f"{kind}: the run waited {waited:.2f} s at its start, {ended:.1f} s to the end")
    assert ended < 25, "it hangs"
    warnings = [record for record in caplog.records if record.name.startswith("lmlab")]
    assert len(warnings) == 1
    assert message in warnings[0].getMessage()
    assert KEY not in caplog.text
    (folder,) = offline_folders(tmp_path)
    assert "validation/loss" in json.dumps(history(folder))


def test_an_unexpected_answer_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for url in serving(200, b'{"data": {"viewer": {"id": "x"}}}'):  # and nothing else is right
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", url)
        tracker = start(tmp_path)
        tracker.log(ROWS[0])
        tracker.finish(0)
    # wandb's own service breaks down on such an answer, or gives up: which is its affair.
    assert len([record for record in caplog.records if record.name == "lmlab.tracking"]) == 1
