"""Predicted time, memory and disk space of a run, against counts made the slow way."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import Calibration
from lmlab.preflight.forecast import (
    STARTUP_SECONDS,
    Costs,
    _occurrences,
    costs_of,
    forecast,
    largest_pass,
    seconds_of,
    steps_within,
)
from lmlab.runs.auto_settings import choose_device
from lmlab.runtime.device import Device

MEASURED = Calibration(
    step=2.0, evaluation=3.0, saving=5.0, saving_best=7.0, token=11.0, peak_bytes=None,
    steps=3, sequences=4, source="3 steps",
)  # fmt: skip


def data_of(num_tokens: int, *tasks: int) -> SimpleNamespace:
    """Only the validation tokens and those of the tasks matter."""
    return SimpleNamespace(
        valid=SimpleNamespace(tokens=np.zeros(num_tokens, np.uint16)),
        tasks=[SimpleNamespace(num_tokens=one) for one in tasks],
    )


def counted(overrides: list[str]) -> tuple[Costs, Device]:
    spec = resolve(compose(overrides))
    device = choose_device(spec)
    costs = costs_of(spec.workload, device)
    assert costs is not None
    return costs, device


def test_occurrences_are_those_of_the_training_loop() -> None:
    for steps, every, done in itertools.product(range(13), range(1, 15), range(13)):
        if done > steps:
            continue
        due = [s for s in range(done + 1, steps + 1) if s % every == 0 or s == steps]
        assert _occurrences(steps, every, done) == len(due), (steps, every, done)


def test_the_most_steps_that_fit_a_time(overrides: list[str]) -> None:
    workload, data = resolve(compose(overrides)).workload, data_of(3 * 16 + 1)

    def seconds(steps: int) -> float:
        longer = dataclasses.replace(workload, steps=steps)
        return seconds_of(longer, data, MEASURED).total  # type: ignore[arg-type]

    for steps in (1, 9, 10, 11, 300):
        for more in (0.0, 1.0):
            fitting = steps_within(workload, data, MEASURED, seconds(steps) + more)  # type: ignore[arg-type]
            assert fitting == steps, "an update takes two seconds"
    assert steps_within(workload, data, MEASURED, seconds(1) - 0.1) == 0  # type: ignore[arg-type]


def test_the_parts_of_a_run_add_up(overrides: list[str]) -> None:
    """20 steps, evaluated at 0, 10 and 20, saved at 5, 10, 15 and 20; 3 windows in 2 batches."""
    more = ["validation.batch_size=2", "samples.prompts=[a,b]", "samples.max_new_tokens=8"]
    workload = resolve(compose([*overrides, *more])).workload
    found = seconds_of(workload, data_of(3 * 16 + 1), MEASURED)  # type: ignore[arg-type]
    assert found.training == 20 * 2.0
    assert found.evaluation == 3 * 1.5 * 3.0
    assert found.saving == 4 * 5.0 + 2 * 7.0
    assert found.samples == 8 * 11.0
    assert found.total == STARTUP_SECONDS + 40.0 + 13.5 + 34.0 + 88.0
    # Tasks whose tokens fill five windows of 16.
    scored = seconds_of(workload, data_of(3 * 16 + 1, 60, 20), MEASURED)  # type: ignore[arg-type]
    assert scored.evaluation == 3 * 4.0 * 3.0


def test_a_resumed_run_takes_what_is_left(overrides: list[str]) -> None:
    workload = resolve(compose([*overrides, "validation.batch_size=2"])).workload
    found = seconds_of(workload, data_of(33), MEASURED, steps_done=12)  # type: ignore[arg-type]
    assert found.training == 8 * 2.0
    assert found.evaluation == 3.0, "only that at step 20: the weights at step 0 were evaluated"
    assert found.saving == 2 * 5.0 + 7.0


def test_no_prompts_take_no_time(overrides: list[str]) -> None:
    workload = resolve(compose([*overrides, "samples.prompts=[]"])).workload
    assert seconds_of(workload, data_of(33), MEASURED).samples == 0.0  # type: ignore[arg-type]


def test_a_component_without_counts_has_no_costs(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = resolve(compose(overrides))
    unknown = {**spec.workload.model, "ffn": {"_target_": "elsewhere.Custom"}}
    device = choose_device(spec)
    assert costs_of(dataclasses.replace(spec.workload, model=unknown), device) is None


def test_accumulation_lowers_memory_and_not_disk(overrides: list[str]) -> None:
    large, _ = counted([*overrides, "training.batch_size=64"])
    small, _ = counted([*overrides, "training.batch_size=64", "training.micro_batch_size=4"])
    assert small.memory.activations < large.memory.activations / 8
    assert small.memory.optimizer == large.memory.optimizer
    assert (small.disk_left, small.disk_most) == (large.disk_left, large.disk_most)


def test_the_largest_pass_fits_and_one_more_sequence_does_not(overrides: list[str]) -> None:
    costs, _ = counted(overrides)
    memory = costs.memory
    fixed = memory.parameters + memory.optimizer + memory.workspace
    peak = fixed + 4 * 1000
    measured = dataclasses.replace(MEASURED, peak_bytes=peak, sequences=4)
    assert largest_pass(costs, measured, fixed + 7 * 1000) == 7
    assert largest_pass(costs, measured, fixed + 7 * 1000 - 1) == 6
    assert largest_pass(costs, measured, 0) == 0


def predicted(overrides: list[str], measured: Calibration | None, baseline: int = 0):  # type: ignore[no-untyped-def]
    spec = resolve(compose(overrides))
    device = choose_device(spec)
    costs = costs_of(spec.workload, device)
    found = forecast(spec.workload, device, data_of(33), costs, measured, 0, baseline)  # type: ignore[arg-type]
    return found, costs, device, spec


def test_memory_in_use_before_the_run_counts(overrides: list[str]) -> None:
    first, costs, *_ = predicted(overrides, None)
    second, *_ = predicted(overrides, None, baseline=10**9)
    assert first.peak_bytes == costs.memory.peak + costs.memory.saving
    assert second.peak_bytes == first.peak_bytes + 10**9


def test_a_measured_peak_replaces_the_counted_one(overrides: list[str]) -> None:
    measured = dataclasses.replace(MEASURED, peak_bytes=10**9)
    plain, *_ = predicted(overrides, measured)
    accumulating, costs, *_ = predicted([*overrides, "training.micro_batch_size=2"], measured)
    assert plain.peak_bytes == 10**9
    assert accumulating.peak_bytes == 10**9 + costs.memory.gradients
    tiny = dataclasses.replace(MEASURED, peak_bytes=1)
    found, costs, *_ = predicted(overrides, tiny)
    assert found.peak_bytes == costs.memory.validation, "an evaluation may need more"


def test_the_summary_names_what_is_predicted_and_what_is_free(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 2 * 10**9)
    monkeypatch.setattr(machine_resources, "free_disk", lambda folder: 3 * 10**9)
    found, _, device, spec = predicted(overrides, MEASURED)
    line = found.summary(device, spec.output_root)
    assert line.startswith("about ") and "(3 steps); peak memory " in line
    assert ", 2 GB free (passes of up to " in line
    assert line.endswith(", 3 GB free")
    nothing = dataclasses.replace(found, seconds=None, peak_bytes=None, disk_bytes=None)
    assert nothing.summary(device, spec.output_root) == "no cost estimate for this model"


def test_keys_of_the_file_are_a_contract(overrides: list[str]) -> None:
    found, *_ = predicted(overrides, MEASURED)
    assert list(found.as_dict()) == [
        "seconds", "training_seconds", "evaluation_seconds", "saving_seconds", "samples_seconds",
        "peak_bytes", "disk_bytes", "source",
    ]  # fmt: skip
    without = dataclasses.replace(found, seconds=None)
    assert list(without.as_dict()) == ["seconds", "peak_bytes", "disk_bytes", "source"]
