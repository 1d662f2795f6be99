"""The choice of a tracker, and the one that records nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from wandb_runs import ROWS, info, start

from lmlab.errors import ConfigError
from lmlab.tracking import NoTracker, no_tracker


def test_an_unknown_mode_names_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"logger\.mode=sometimes: expected one of auto, online, offline"
    ):
        start(tmp_path, "sometimes")


def test_no_tracker_discards_everything(tmp_path: Path) -> None:
    tracker = no_tracker(info(tmp_path))
    tracker.log(ROWS[0])
    tracker.samples([])
    tracker.summary({})
    tracker.finish(0)
    assert not (tmp_path / "run").exists()


def test_wandb_s_own_switch_turns_tracking_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert isinstance(start(tmp_path), NoTracker)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_costs_the_tracking_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").write_text("a file where the run folder should be")
    assert isinstance(start(tmp_path), NoTracker)
    assert "wandb cannot start" in caplog.text
