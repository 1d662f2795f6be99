"""Preflight of whole runs: it changes nothing, refuses what does not fit, and is compared."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError, DiskError
from lmlab.preflight import machine_resources, measurement, run_preflight
from lmlab.preflight.calibration import Calibration, calibration_file, read_calibration, shape_key
from lmlab.preflight.forecast import STARTUP_SECONDS
from lmlab.preflight.measurement import calibrate, find_or_calibrate
from lmlab.runs import auto_settings
from lmlab.runs.execute import execute


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


def test_a_run_is_bit_for_bit_the_same_without_it(tmp_path: Path, overrides: list[str]) -> None:
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


def test_measuring_leaves_the_random_state_and_the_files_alone(
    tmp_path: Path, overrides: list[str]
) -> None:
    config = compose(overrides)
    device = auto_settings.build_device(config)
    before = torch.get_rng_state()
    found = calibrate(resolve(config), device)
    assert torch.equal(torch.get_rng_state(), before)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert found.step > 0 and found.evaluation > 0 and found.saving > 0 and found.token > 0


def test_a_rate_at_which_runs_diverge_is_measured_all_the_same(overrides: list[str]) -> None:
    config = compose([*overrides, "optim.lr=1e6", "training.steps=200"])
    assert calibrate(resolve(config), auto_settings.build_device(config)).token > 0


def test_each_shape_is_measured_once(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def counting(spec: Any, device: Any) -> Any:
        measured.append(spec.arm)
        return calibrate(spec, device)

    monkeypatch.setattr(measurement, "calibrate", counting)
    device = auto_settings.build_device(compose(overrides))
    for words in ([], ["optim.lr=1e-5"], ["seed=3"], ["training.steps=77"], ["model.init=normal"]):
        find_or_calibrate(resolve(compose([*overrides, *words])), device)
    assert len(measured) == 1
    keys = {shape_key(resolve(compose(overrides)).workload, device)}
    for words in (["model.d_model=32"], ["training.batch_size=8"], ["model.norm=post"],
                  ["optim=sgd"], ["runtime.beside=1"], ["validation.batch_size=7"]):  # fmt: skip
        keys.add(shape_key(resolve(compose([*overrides, *words])).workload, device))
    assert len(keys) == 7


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


def test_what_a_run_took_is_remembered(overrides: list[str]) -> None:
    config = compose([*overrides, "training.steps=40"])
    run = execute(config).run
    known = known_calibration(config)
    assert known is not None and known.source == "a run of 40 steps on this device"
    actual = run.preflight()["actual"]["training_seconds"]
    assert known.step == pytest.approx(actual / 40, rel=0.01)


def test_a_resumed_run_is_predicted_from_where_it_stands(
    overrides: list[str], train: Any, start: Any
) -> None:
    words = [*overrides, "arm=x"]
    assert train(words, prepare=_stop_at_step_12) == 128 + 15
    config = compose(words)
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


def test_too_little_memory_is_refused_with_what_fits(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = [*overrides, "training.batch_size=4096", "validation.batch_size=1"]
    config = compose(words)
    device = auto_settings.build_device(config)
    costs = run_preflight.costs_of(resolve(config).workload, device)
    assert costs is not None
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: costs.memory.training // 5)
    with pytest.raises(ConfigError) as told:
        execute(config)
    message = str(told.value)
    assert message.startswith("training.batch_size=4096:")
    assert not (tmp_path / "outputs" / "runs").exists()
    micro = int(message.partition("training.micro_batch_size=")[2].split()[0])
    smaller = compose([*words, f"training.micro_batch_size={micro}"])
    assert (
        run_preflight.costs_of(resolve(smaller).workload, device).memory.peak
        <= costs.memory.training // 5
    )  # type: ignore[union-attr]
    twice = compose([*words, f"training.micro_batch_size={2 * micro}"])
    assert (
        run_preflight.costs_of(resolve(twice).workload, device).memory.peak
        > costs.memory.training // 5
    )  # type: ignore[union-attr]


def test_an_evaluation_that_does_not_fit_is_named(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose([*overrides, "validation.batch_size=50000"])
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 10**8)
    with pytest.raises(ConfigError, match=r"(?s)validation\.batch_size=50000.*changes no result"):
        execute(config)


def test_a_model_that_cannot_fit_is_named(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 10_000)
    with pytest.raises(ConfigError, match=r"(?s)model\.d_model=16.* lower model\.d_model"):
        execute(compose(overrides))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["model.vocab_size=1000000000"], "model.vocab_size"),
        (["model.d_model=1000000"], "model.d_model or model.num_layers"),
        (["model.d_ff=1000000000"], "model.d_ff or model.num_layers"),
        (["model.pos=learned", "model.context_length=100000000000"], "model.context_length"),
        (["model.context_length=100000000"], "model.context_length"),
    ],
)
@pytest.mark.parametrize("policy", ["exact", "fast"])
def test_what_to_lower_is_the_largest_part(
    overrides: list[str], words: list[str], named: str, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose([*overrides, *words, f"runtime.policy={policy}"])
    free = 100 * 10**9
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: free)
    monkeypatch.setattr(auto_settings, "free_memory", lambda device: free)
    with pytest.raises(ConfigError) as told:
        execute(config)
    assert f"lower {named}, or set" in str(told.value)
    assert "more than the 100 GB of memory free on cpu" in str(told.value)


def test_warn_tells_and_goes_on(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 10_000)
    with caplog.at_level(logging.WARNING, "lmlab.preflight"):
        outcome = execute(compose([*overrides, "runtime.preflight=warn"]))
    assert outcome.exit_code == 0
    assert "lower model.d_model" in caplog.text


def test_too_little_disk_is_refused_and_a_finished_run_is_not(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(overrides)
    with monkeypatch.context() as patch:
        patch.setattr(machine_resources, "free_disk", lambda folder: 1000)
        with pytest.raises(
            DiskError, match=r"(?s)output_root=.*needs .* while saving.*keep_last=2"
        ):
            execute(config)
    assert execute(config).exit_code == 0
    monkeypatch.setattr(machine_resources, "free_disk", lambda folder: 1000)
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 1000)
    assert execute(config).exit_code == 0


def test_steps_of_the_calibration_that_do_not_fit_refuse_the_run(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where the steps of the calibration are what runs out of memory."""

    def full(config: Any, device: Any) -> Any:
        raise torch.OutOfMemoryError("no memory for the test")

    monkeypatch.setattr(measurement, "calibrate", full)
    with pytest.raises(
        ConfigError,
        match=r"(?s)training\.batch_size=4: an update does not fit.*micro_batch_size=2 ",
    ):
        execute(compose(overrides))


def test_one_line_for_an_unknown_mode() -> None:
    with pytest.raises(ConfigError, match=r"runtime\.preflight=on: expected one of refuse, warn"):
        compose(["runtime.preflight=on"])
