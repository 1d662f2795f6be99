"""Where the jobs of a sweep run on this machine, and what each job sees of it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.sweep import slots as slots_module
from lmlab.sweep.slots import Slot, config_in_slot, count_co_runners, describe_slots, find_slots


def test_single_threaded_jobs_fill_the_cores_and_are_pinned(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "usable_cores", lambda: 4)
    slots = find_slots(compose(overrides), "auto")
    assert len(slots) == 4 and all(slot.pinned for slot in slots)
    fewer = find_slots(compose(overrides), 3)
    assert not any(slot.pinned for slot in fewer), "processes may move to the idle core"
    wide = find_slots(compose([*overrides, "runtime.threads=2"]), "auto")
    assert len(wide) == 2 and not wide[0].pinned


@pytest.mark.parametrize("invalid", [0, -1, True, "many", 1.5])
def test_an_invalid_number_of_jobs_is_refused(overrides: list[str], invalid: object) -> None:
    with pytest.raises(ConfigError, match=f"jobs_per_device={invalid}: expected auto, or 1 or"):
        find_slots(compose(overrides), invalid)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("visible", "index", "jobs", "expected"),
    [
        ("3,5", None, "auto", ["3", "5"]),
        ("3,5", None, 2, ["3", "5", "3", "5"]),
        ("3,5", 1, "auto", ["5"]),
        ("GPU-a, GPU-b", None, 1, ["GPU-a", "GPU-b"]),
    ],
)
def test_a_job_sees_the_gpu_of_its_slot(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str],
    visible: str, index: int | None, jobs: int | str, expected: list[str],
) -> None:  # fmt: skip
    config = compose(overrides)
    device = slots_module.auto_settings.build_device(config)
    gpu = dataclasses.replace(device, device=torch.device("cuda", index))
    monkeypatch.setattr(slots_module.auto_settings, "build_device", lambda config: gpu)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    slots = find_slots(config, jobs)
    assert [dict(slot.environment)["CUDA_VISIBLE_DEVICES"] for slot in slots] == expected


def test_co_runners_are_the_other_jobs_on_the_same_device() -> None:
    cpu = [Slot("cpu")] * 4
    assert count_co_runners(cpu[0], cpu, 9) == 3
    assert count_co_runners(cpu[0], cpu, 2) == 1
    assert count_co_runners(cpu[0], cpu, 1) == 0
    gpus = [Slot("cuda 0"), Slot("cuda 1"), Slot("cuda 0"), Slot("cuda 1")]
    assert count_co_runners(gpus[1], gpus, 9) == 1


def test_a_job_sees_its_gpu_as_the_only_one(overrides: list[str]) -> None:
    config = compose([*overrides, "runtime.device=cuda:1"])
    slot = Slot("cuda 1", (("CUDA_VISIBLE_DEVICES", "1"),))
    job = config_in_slot(config, slot, 2)
    assert (job.runtime.device, job.runtime.beside) == ("cuda", 2)
    assert config_in_slot(compose(overrides), Slot("cpu"), 0).runtime.device == "cpu"


@pytest.mark.parametrize(
    ("slots", "threads", "runs_per_process", "expected"),
    [
        ([Slot("cpu", pinned=True)] * 4, 1, 1, "4 at a time, 1 thread each, each pinned to a core"),
        ([Slot("cpu")], 2, 4, "1 at a time, each a stack of up to 4 runs, 2 threads each"),
        ([Slot("cuda 0"), Slot("cuda 1")], 2, 1, "2 at a time"),
    ],
)
def test_the_description_of_the_slots(
    slots: list[Slot], threads: int, runs_per_process: int, expected: str
) -> None:
    assert describe_slots(slots, threads, runs_per_process) == expected
