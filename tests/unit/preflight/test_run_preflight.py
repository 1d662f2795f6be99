"""Preflight of complete runs: it changes no result, and its prediction meets what happens."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.preflight import machine_resources, measurement
from lmlab.preflight.calibration import Calibration, calibration_file, read_calibration
from lmlab.preflight.forecast import STARTUP_SECONDS
from lmlab.preflight.run_preflight import RunPreflight
from lmlab.run_folder import RunFolder
from lmlab.runs import auto_settings
from lmlab.runs.execute import execute
from lmlab.training.state import Progress


def last_weights(run: Path) -> bytes:
    return (sorted((run / "checkpoints").glob("step_*"))[-1] / "model.safetensors").read_bytes()


def known_calibration(config: RunConfig) -> Calibration | None:
    spec = resolve(config)
    device = auto_settings.choose_device(spec)
    return read_calibration(calibration_file(spec.workload, device, spec.cache_folder))


def rows(run: Path) -> list[dict[str, Any]]:
    kept = ("kind", "step", "loss", "grad_norm", "weight_norm")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k in kept} for line in lines]


def test_preflight_changes_no_bit_of_a_run(tmp_path: Path, overrides: list[str]) -> None:
    found = []
    for mode in ("refuse", "warn", "off"):
        config = compose(
            [*overrides, f"output_root={tmp_path / mode}", f"runtime.preflight={mode}"]
        )
        assert config.arm == compose(overrides).arm
        run = execute(config).run.path
        found.append((last_weights(run), rows(run), (run / "samples.md").read_text()))
        assert (run / "preflight.json").exists() == (mode != "off")
    assert found[0] == found[1] == found[2]


def test_predicted_and_actual_are_written(overrides: list[str]) -> None:
    config = compose(overrides)
    run = execute(config).run
    found = run.preflight()
    assert found["from_step"] == 0
    for key in ("seconds", "training_seconds", "disk_bytes"):
        assert found["predicted"][key] > 0
        assert found["actual"][key] > 0
    parts = ("training", "evaluation", "saving", "samples")
    whole = sum(found["predicted"][f"{part}_seconds"] for part in parts)
    assert found["predicted"]["seconds"] == pytest.approx(whole + STARTUP_SECONDS, abs=0.01)
    if machine_resources.peak_bytes(torch.device("cpu")) is not None:
        ratio = found["predicted"]["peak_bytes"] / found["actual"]["peak_bytes"]
        assert 0.7 < ratio < 1.3
    assert "a run of" not in found["predicted"]["source"]


def test_the_step_time_of_a_run_is_kept_for_the_next(overrides: list[str]) -> None:
    config = compose([*overrides, "training.steps=40"])
    run = execute(config).run
    known = known_calibration(config)
    assert known is not None and known.source == "a run of 40 steps on this device"
    actual = run.preflight()["actual"]["training_seconds"]
    assert known.step == pytest.approx(actual / 40, rel=0.01)


def test_the_prediction_of_a_resumed_run_starts_at_its_checkpoint(
    overrides: list[str], train: Any, start: Any
) -> None:
    settings = [*overrides, "arm=x"]
    assert train(settings, prepare=_stop_at_step_12) == 128 + 15
    config = compose(settings)
    run = execute(config).run
    found = run.preflight()
    assert found["from_step"] == 12
    measured = known_calibration(config)
    assert measured is not None
    predicted = found["predicted"]["training_seconds"]
    assert predicted == pytest.approx(8 * measured.step, rel=0.9)
    assert found["actual"]["seconds"] > 0


def _stop_at_step_12() -> None:
    import os
    import signal

    from lmlab.training.trainer import Trainer

    update = Trainer._update

    def stopping(self: Trainer, step: int) -> None:
        update(self, step)
        if step == 11 and self.settings.show_progress:
            os.kill(os.getpid(), signal.SIGTERM)

    Trainer._update = stopping  # type: ignore[method-assign]


def test_warn_logs_the_problem_and_trains(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 10_000)
    with caplog.at_level(logging.WARNING, "lmlab.preflight"):
        outcome = execute(compose([*overrides, "runtime.preflight=warn"]))
    assert outcome.exit_code == 0
    assert "lower model.d_model" in caplog.text


def test_a_measured_step_that_does_not_fit_refuses_the_run(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, it is a measured step that runs out of memory."""

    def full(spec: Any, device: Any) -> Any:
        raise torch.OutOfMemoryError("no memory for the test")

    monkeypatch.setattr(measurement, "calibrate", full)
    with pytest.raises(
        ConfigError,
        match=r"(?s)training\.batch_size=4: an update does not fit.*micro_batch_size=2 ",
    ):
        execute(compose(overrides))


def test_a_failed_measurement_stops_no_run(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(spec: Any, device: Any) -> Any:
        raise RuntimeError("no clock for the test")

    monkeypatch.setattr(measurement, "calibrate", broken)
    with caplog.at_level(logging.WARNING, "lmlab.preflight"):
        result = execute(compose(overrides))
    assert result.exit_code == 0
    assert "the measurement failed: no clock for the test" in caplog.text
    assert result.run.preflight()["predicted"]["seconds"] is None


def test_a_run_that_extends_another_has_no_predicted_time(overrides: list[str]) -> None:
    constant = [*overrides, "schedule=constant", "schedule.warmup_steps=2"]
    parent = execute(compose([*constant, "arm=short"])).run
    child = execute(
        compose([*constant, "arm=long", "training.steps=30", f"parent={parent.path}"])
    ).run
    found = child.preflight()
    assert (found["from_step"], found["predicted"]["seconds"]) == (20, None)
    assert found["actual"]["training_seconds"] > 0


def test_a_stacked_run_predicts_and_teaches_no_time(overrides: list[str]) -> None:
    spec = resolve(compose(overrides))
    device = auto_settings.choose_device(spec)
    folder = RunFolder(spec.named_folder)
    data = prepare_data(spec.data)
    preflight = RunPreflight.prepare(spec, device, data, folder, is_stacked=True)
    assert preflight.prediction is not None and preflight.prediction.seconds is None
    assert preflight.prediction.peak_bytes is not None
    preflight.begin(Progress())
    preflight.end(Progress(step=100, seconds=50.0))
    assert not (spec.cache_folder / "calibrations").exists()
    assert folder.preflight()["actual"]["training_seconds"] == 50.0
