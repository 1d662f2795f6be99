from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DiskError
from lmlab.preflight import machine_resources
from lmlab.preflight.forecast import costs_of
from lmlab.runs import auto_settings
from lmlab.sweep.arm_costs import TextsByConfig
from lmlab.sweep.slots import Slot
from lmlab.sweep.sweep_preflight import as_job, beside, check_all, makespan


def test_makespan_starts_the_longest_first_at_the_first_free_place() -> None:
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 1, 3], 2) == 3
    assert makespan([2, 2, 2], 1) == 6
    assert makespan([], 4) == 0


def test_others_beside_a_job_are_those_on_its_device() -> None:
    cpu = [Slot("cpu")] * 4
    assert beside(cpu[0], cpu, 9) == 3
    assert beside(cpu[0], cpu, 2) == 1
    assert beside(cpu[0], cpu, 1) == 0
    gpus = [Slot("cuda 0"), Slot("cuda 1"), Slot("cuda 0"), Slot("cuda 1")]
    assert beside(gpus[1], gpus, 9) == 1


def test_a_job_sees_its_own_device_alone(overrides: list[str]) -> None:
    config = compose([*overrides, "runtime.device=cuda:1"])
    slot = Slot("cuda 1", (("CUDA_VISIBLE_DEVICES", "1"),))
    job = as_job(config, slot, 2)
    assert (job.runtime.device, job.runtime.beside) == ("cuda", 2)
    assert as_job(compose(overrides), Slot("cpu"), 0).runtime.device == "cpu"


def test_jobs_that_do_not_fit_together_are_refused(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(overrides)
    device, texts, slots = auto_settings.build_device(config), TextsByConfig(), [Slot("cpu")] * 4
    costs = costs_of(resolve(config).workload, device)
    assert costs is not None
    each = costs.memory.peak + costs.memory.saving
    monkeypatch.setattr(machine_resources, "free_memory", lambda device: 3 * each + 1)
    check_all([config] * 3, texts, slots, runs=3)
    with pytest.raises(
        ConfigError, match=r"4 jobs at the same time need .*\nhelp: set .*jobs_per_device=3"
    ):
        check_all([config] * 4, texts, slots, runs=4)


def test_disk_is_counted_over_all_runs(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(overrides)
    device, texts, slots = auto_settings.build_device(config), TextsByConfig(), [Slot("cpu")]
    costs = costs_of(resolve(config).workload, device)
    assert costs is not None
    room = 5 * costs.disk_left + costs.disk_most
    monkeypatch.setattr(machine_resources, "free_disk", lambda folder: room)
    check_all([config, config], texts, slots, runs=6)
    with pytest.raises(DiskError, match=r"the sweep needs"):
        check_all([config, config], texts, slots, runs=8)


def test_a_sweep_tells_and_compares(sweeps: Any) -> None:
    printed = sweeps.run("-m", "optim.lr=1e-3,2e-3", "study=s")
    assert "about 2 runs, predicted" in printed
    assert "predicted" in printed.splitlines()[-3], printed
    (path,) = (sweeps.outputs / "s" / "sweeps").glob("*/preflight.json")
    found = json.loads(path.read_text())
    assert found["runs"] == 2
    assert found["predicted_seconds"] > 0 and found["actual_seconds"] > 0
    runs = sorted((sweeps.outputs / "s").glob("*/seed*/preflight.json"))
    assert len(runs) == 2
    assert all(json.loads(run.read_text())["actual"]["seconds"] > 0 for run in runs)
    report = (sweeps.outputs / "s" / "report.md").read_text()
    assert "## Predicted and actual" in report

    assert "every run is done already" in sweeps.run("-m", "optim.lr=1e-3,2e-3", "study=s")
    assert json.loads(path.read_text()) == found
    assert Path(path).exists()
