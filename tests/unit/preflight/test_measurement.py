"""Timed steps leave no trace, are taken once per shape, and scale to the run's batch."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import compose
from lmlab.preflight import measurement
from lmlab.preflight.measurement import calibrate, find_or_calibrate
from lmlab.runs.auto_settings import choose_device
from lmlab.runtime.device import Device


def prepared(overrides: list[str]) -> tuple[RunSpec, Device]:
    spec = resolve(compose(overrides))
    return spec, choose_device(spec)


def test_random_state_files_and_log_stay_as_they_were(
    tmp_path: Path, overrides: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    spec, device = prepared(overrides)
    before = torch.get_rng_state()
    with caplog.at_level(logging.INFO):
        found = calibrate(spec, device)
    assert torch.equal(torch.get_rng_state(), before)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not caplog.records
    assert not logging.getLogger("lmlab.training.trainer").disabled
    assert found.step > 0 and found.evaluation > 0 and found.saving > 0 and found.token > 0


def test_a_learning_rate_at_which_runs_diverge_is_measured(overrides: list[str]) -> None:
    spec, device = prepared([*overrides, "optim.lr=1e6", "training.steps=200"])
    assert calibrate(spec, device).token > 0


def test_no_prompts_means_no_time_for_samples(overrides: list[str]) -> None:
    spec, device = prepared([*overrides, "samples.prompts=[]"])
    assert calibrate(spec, device).token == 0.0


@pytest.mark.long
def test_each_shape_is_measured_once(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def counting(spec: RunSpec, device: Device) -> Any:
        measured.append(spec.arm)
        return calibrate(spec, device)

    monkeypatch.setattr(measurement, "calibrate", counting)
    found = {
        find_or_calibrate(*prepared([*overrides, *more]))
        for more in ([], ["optim.lr=1e-5"], ["seed=3"], ["training.steps=77"])
    }
    assert (len(measured), len(found)) == (1, 1)
    find_or_calibrate(*prepared([*overrides, "model.d_model=32"]))
    assert len(measured) == 2


def test_a_step_of_several_passes_has_one_update() -> None:
    """A step of 4 passes costs four times the passes of a timed step, and its update once."""
    assert measurement._step_seconds(3.5, update=0.5, passes=4) == 4 * 3.0 + 0.5
    assert measurement._step_seconds(3.0, update=0.5, passes=1) == 3.0
    assert measurement._step_seconds(0.25, update=0.5, passes=2) == 0.5, "noise is not negative"


def test_a_timed_pass_is_no_larger_than_the_run_s(overrides: list[str]) -> None:
    spec, device = prepared([*overrides, "training.batch_size=8", "training.micro_batch_size=2"])
    assert measurement._pass_size(spec.workload, device) == 2
    huge = dataclasses.replace(
        spec.workload, model={**spec.workload.model, "d_model": 4096}, micro_batch_size=None
    )
    assert measurement._pass_size(huge, device) == 1, "a CPU gets as much as it does in a second"
    cuda = dataclasses.replace(device, device=torch.device("cuda"))
    assert measurement._pass_size(huge, cuda) == 8


def test_large_states_are_not_saved_to_be_timed(overrides: list[str]) -> None:
    spec, device = prepared(overrides)
    state = measurement._scratch_state(spec, device)
    weights = 4 * sum(parameter.numel() for parameter in state.model.parameters())
    found = measurement._time_saving(spec.cache_folder, state, most_bytes=weights - 1)
    assert found["saving_best"] == weights / measurement.DISK_BYTES_PER_SECOND
    assert not spec.cache_folder.exists()
