"""Event files that TensorBoard's own reader reads back."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from event_files import expected_scalars, read, scalars, without_final

from lmlab.errors import ConfigError
from lmlab.tracking import RunInfo, check_tracker, tensorboard_tracker

pytest.importorskip("tensorboard")
CONFIG = {"optim": {"lr": 1e-3, "betas": [0.9, 0.95]}, "model": {"d_model": 8}, "parent": None}


def info(tmp_path: Path, *earlier: dict[str, Any], name: str = "run") -> RunInfo:
    return RunInfo(tmp_path / name, "arm/seed0", "study", (), CONFIG, earlier_rows=earlier)


def row(step: int, loss: float, kind: str = "train") -> dict[str, Any]:
    return {"kind": kind, "step": step, "tokens": step * 32, "seconds": step / 10, "loss": loss}


def test_rows_samples_and_results_can_be_read_back(tmp_path: Path) -> None:
    rows = [row(0, 7.0, "validation"), row(10, 5.25), row(20, float("inf"))]
    tracker = tensorboard_tracker(info(tmp_path))
    for one in rows:
        tracker.log(one)
    tracker.log({"kind": "callback", "name": "spectrum", "step": 20, "seconds": 2.0, "top": 3})
    tracker.samples([{"prompt": "Once", "text": " upon a time", "step": 20}])
    tracker.summary({"loss": 4.5, "best_loss": 4.0, "step": 20, "status": "done"})
    tracker.finish(0)
    folder = tmp_path / "run" / "tensorboard"
    found = scalars(folder)
    assert found.pop("callback/spectrum/top") == [(20, 3.0)]
    assert found.pop("callback/spectrum/seconds") == [(20, 2.0)]
    assert found["final/loss"] == [(20, 4.5)]
    assert without_final(found) == expected_scalars(rows)
    events = read(folder)
    texts = {tag: events.Tensors(tag)[0] for tag in events.Tags()["tensors"]}
    assert (texts["samples/text_summary"].step, texts["final/text_summary"].step) == (20, 20)
    assert b"**Once** upon a time" in texts["samples/text_summary"].tensor_proto.string_val[0]
    assert b"status: done" in texts["final/text_summary"].tensor_proto.string_val[0]
    times = [one.wall_time for one in events.Scalars("train/loss")]
    assert times[1] - times[0] == pytest.approx(1.0, abs=1e-3), "seconds of training"


def test_the_settings_are_hyperparameters(tmp_path: Path) -> None:
    tensorboard_tracker(info(tmp_path)).finish(0)
    metadata = read(tmp_path / "run" / "tensorboard").summary_metadata
    from tensorboard.plugins.hparams import plugin_data_pb2

    content = metadata["_hparams_/session_start_info"].plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["optim.lr"].number_value == 1e-3
    assert found["optim.betas"].string_value == "[0.9, 0.95]"


def test_a_resumed_session_shows_each_step_once_without_removing_a_file(tmp_path: Path) -> None:
    killed = tensorboard_tracker(info(tmp_path), flush_seconds=0.1)
    for step in range(1, 14):
        killed.log(row(step, 10.0))  # its last rows were after the checkpoint at step 10
    killed._writer.flush()  # type: ignore[attr-defined]
    folder = tmp_path / "run" / "tensorboard"
    (first,) = folder.iterdir()
    content = first.read_bytes()
    earlier = [row(step, 10.0) for step in range(1, 11)]
    resumed = tensorboard_tracker(info(tmp_path, *earlier))
    later = [row(step, 20.0) for step in range(11, 16)]
    for one in later:
        resumed.log(one)
    resumed.finish(0)
    assert without_final(scalars(folder)) == expected_scalars([*earlier, *later])
    assert first.read_bytes() == content and len(list(folder.iterdir())) == 2


@pytest.mark.long
def test_sessions_within_one_second_are_read_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """File names begin with a second; a second session waits for the next one."""
    for number in range(2):
        tracker = tensorboard_tracker(info(tmp_path))
        tracker.log(row(1, float(number)))
        tracker.finish(0)
    assert scalars(tmp_path / "run" / "tensorboard")["train/loss"] == [(1, 1.0)]
    assert not [one for one in caplog.records if one.name.startswith("lmlab")]


def test_a_clock_that_is_behind_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lmlab.tracking.tensorboard._CLOCK_SECONDS", 0.05)
    folder = tmp_path / "run" / "tensorboard"
    folder.mkdir(parents=True)
    (folder / f"events.out.tfevents.{int(time.time()) + 3600}.host.1.0").write_bytes(b"")
    tensorboard_tracker(info(tmp_path)).finish(0)
    assert "the clock of this machine is behind" in caplog.text


def test_a_folder_of_one_s_own_has_a_folder_for_each_run(tmp_path: Path) -> None:
    """Runs of the same names in different output folders are different runs."""
    other = tmp_path / "events" / "notes.txt"
    other.parent.mkdir()
    other.write_text("mine")
    for name in ("one", "two", "one"):
        tracker = tensorboard_tracker(info(tmp_path, name=name), dir=str(other.parent))
        tracker.log(row(1, 3.0))
        tracker.finish(0)
    folders = sorted((other.parent / "study" / "arm").iterdir())
    assert [path.name[:6] for path in folders] == ["seed0-", "seed0-"]
    assert all(scalars(path)["train/loss"] == [(1, 3.0)] for path in folders)
    assert other.read_text() == "mine"


def test_a_missing_package_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'lmlab\[tensorboard\]'"):
        tensorboard_tracker(info(tmp_path))


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_an_interval_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"flush_seconds=.*: expected a number above 0"):
        check_tracker("logger", "lmlab.tracking.tensorboard_tracker", {"flush_seconds": seconds})
