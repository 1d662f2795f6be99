"""Runs that memory or disk cannot hold are refused, with settings that fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DiskError
from lmlab.preflight import machine_resources
from lmlab.preflight.capacity_check import check_disk, check_memory, update_problem
from lmlab.preflight.forecast import costs_of
from lmlab.runs import auto_settings
from lmlab.runs.execute import execute


def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changes = [*overrides, "training.batch_size=4096", "validation.batch_size=1"]
    config = compose(changes)
    device = auto_settings.build_device(config)
    costs = costs_of(resolve(config).workload, device)
    assert costs is not None
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: costs.memory.training // 5)
    with pytest.raises(ConfigError) as refused:
        execute(config)
    message = str(refused.value)
    assert message.startswith("training.batch_size=4096:")
    assert not (tmp_path / "outputs" / "runs").exists()
    micro = int(message.partition("training.micro_batch_size=")[2].split()[0])
    smaller = compose([*changes, f"training.micro_batch_size={micro}"])
    assert costs_of(resolve(smaller).workload, device).memory.peak <= costs.memory.training // 5  # type: ignore[union-attr]
    twice = compose([*changes, f"training.micro_batch_size={2 * micro}"])
    assert costs_of(resolve(twice).workload, device).memory.peak > costs.memory.training // 5  # type: ignore[union-attr]


def test_an_evaluation_that_does_not_fit_names_its_batch(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose([*overrides, "validation.batch_size=50000"])
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 10**8)
    with pytest.raises(ConfigError, match=r"(?s)validation\.batch_size=50000.*changes no result"):
        execute(config)


def test_a_model_that_cannot_fit_names_its_size(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 10_000)
    with pytest.raises(ConfigError, match=r"(?s)model\.d_model=16.* lower model\.d_model"):
        execute(compose(overrides))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["model.vocab_size=1000000000"], "model.vocab_size"),
        (["model.d_model=1000000"], "model.d_model or model.num_layers"),
        (["model.d_ff=1000000000"], "model.d_ff or model.num_layers"),
        (["model.pos=learned", "model.context_length=100000000000"], "model.context_length"),
        (["model.context_length=100000000"], "model.context_length"),
    ],
)
@pytest.mark.parametrize("policy", ["exact", "fast"])
def test_the_size_to_lower_is_that_of_the_largest_part(
    overrides: list[str],
    changes: list[str],
    named: str,
    policy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = compose([*overrides, *changes, f"runtime.policy={policy}"])
    free = 100 * 10**9
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: free)
    monkeypatch.setattr(auto_settings, "free_memory", lambda device: free)
    with pytest.raises(ConfigError) as refused:
        execute(config)
    assert f"lower {named}, or set" in str(refused.value)
    assert "more than the 100 GB of memory free on cpu" in str(refused.value)


def test_a_full_disk_refuses_a_new_run_and_no_finished_one(
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


@pytest.mark.parametrize("mode", ["refuse", "warn"])
def test_jobs_that_fit_alone_and_not_together(
    overrides: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    spec = resolve(compose(overrides))
    device = auto_settings.choose_device(spec)
    costs = costs_of(spec.workload, device)
    assert costs is not None
    per_job = costs.memory.peak + costs.memory.saving
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 3 * per_job)
    monkeypatch.setattr(machine_resources, "free_shared_memory", lambda device: 3 * per_job)
    check_memory(spec.workload, device, costs, mode, jobs=3)
    assert not caplog.records
    if mode == "warn":
        check_memory(spec.workload, device, costs, mode, jobs=4)
        assert "4 jobs at the same time need" in caplog.text
        return
    with pytest.raises(ConfigError) as refused:
        check_memory(spec.workload, device, costs, mode, jobs=4)
    assert "set hydra.launcher.jobs_per_device=3," in str(refused.value.help)


def test_on_cuda_activations_do_not_count(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compilation changes which are kept; the measured steps find them."""
    spec = resolve(compose([*overrides, "training.batch_size=4096"]))
    device = auto_settings.choose_device(spec)
    costs = costs_of(spec.workload, device)
    assert costs is not None
    memory = costs.memory
    fixed = memory.parameters + memory.gradients + memory.optimizer + memory.workspace
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: fixed)
    gpu = dataclasses.replace(device, device=torch.device("cuda"))
    check_memory(spec.workload, gpu, costs, "refuse")
    with pytest.raises(ConfigError, match=r"training\.batch_size=4096|model\."):
        check_memory(spec.workload, device, costs, "refuse")


def test_a_measured_step_that_does_not_fit_halves_the_batch(overrides: list[str]) -> None:
    """The counts said that it fits, so they are wrong."""
    spec = resolve(compose([*overrides, "training.batch_size=12"]))
    device = auto_settings.choose_device(spec)
    costs = costs_of(spec.workload, device)
    assert costs is not None
    problem = update_problem(spec.workload, device, costs, None, free=10**12)
    assert "set training.micro_batch_size=6 " in str(problem.help)
    counted = update_problem(spec.workload, device, costs, 10**12, free=10**12)
    assert "training.batch_size=11, or runtime.preflight=warn" in str(counted.help)


def test_files_of_the_run_itself_count_as_its_own(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A resumed run replaces the checkpoints that it left."""
    spec = resolve(compose(overrides))
    costs = costs_of(spec.workload, auto_settings.choose_device(spec))
    assert costs is not None
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoint").write_bytes(bytes(1000))
    monkeypatch.setattr(machine_resources, "free_disk", lambda folder: costs.disk_most - 1000)
    check_disk(spec.workload, costs, folder, spec.output_root, "refuse")
    with pytest.raises(DiskError, match="the run needs"):
        check_disk(spec.workload, costs, tmp_path / "new", spec.output_root, "refuse")


@pytest.mark.parametrize("mode", ["on", "none"])
def test_an_unknown_mode_names_the_valid_ones(mode: str) -> None:
    with pytest.raises(ConfigError, match=rf"runtime\.preflight={mode}: .*refuse, warn"):
        compose([f"runtime.preflight={mode}"])
