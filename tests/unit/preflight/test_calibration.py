"""Calibrations: what makes two workloads share one, and how a run improves it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.preflight.calibration import (
    LEARNED_STEPS,
    Calibration,
    calibration_file,
    read_calibration,
    shape_key,
    update_calibration,
    write_calibration,
)
from lmlab.runs.auto_settings import choose_device

MEASURED = Calibration(
    step=0.5, evaluation=0.25, saving=1.0, saving_best=0.125, token=0.01, peak_bytes=None,
    steps=3, sequences=4, source="3 steps of 4 sequences on this device",
)  # fmt: skip


def key(overrides: list[str]) -> str:
    spec = resolve(compose(overrides))
    return shape_key(spec.workload, choose_device(spec))


@pytest.mark.parametrize(
    "change",
    ["optim.lr=1e-5", "seed=3", "training.steps=77", "model.init=normal", "study=other",
     "validation.every_steps=3", "checkpoint.every_steps=7"],
)  # fmt: skip
def test_settings_that_change_no_step_share_a_calibration(
    overrides: list[str], change: str
) -> None:
    assert key([*overrides, change]) == key(overrides)


def test_settings_that_change_the_time_of_a_part_do_not(overrides: list[str]) -> None:
    changes = ["model.d_model=32", "training.batch_size=8", "training.micro_batch_size=2",
               "model.norm=post", "optim=sgd", "runtime.beside=1", "validation.batch_size=7",
               "samples.count=5", "runtime.threads=2", "runtime.policy=fast"]  # fmt: skip
    keys = {key([*overrides, change]) for change in changes} | {key(overrides)}
    assert len(keys) == len(changes) + 1


def test_a_calibration_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "calibrations" / "x.json"
    assert read_calibration(path) is None
    write_calibration(path, MEASURED)
    assert read_calibration(path) == MEASURED


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"step": 1.0}', '{"other": 1.0}'])
def test_a_damaged_calibration_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert read_calibration(path) is None


def test_a_long_run_replaces_the_step_time_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_calibration(path, MEASURED)
    update_calibration(path, 0.75, LEARNED_STEPS)
    assert read_calibration(path) == dataclasses.replace(
        MEASURED, step=0.75, steps=LEARNED_STEPS, source="a run of 30 steps on this device"
    )


def test_a_short_run_teaches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_calibration(path, MEASURED)
    update_calibration(path, 0.75, LEARNED_STEPS - 1)
    assert read_calibration(path) == MEASURED


def test_without_a_calibration_a_run_writes_none(tmp_path: Path) -> None:
    """The step time alone predicts no run: evaluations and saves are missing."""
    path = tmp_path / "x.json"
    update_calibration(path, 0.75, 1000)
    assert not path.exists()


def test_files_of_two_shapes_lie_side_by_side_in_the_cache(overrides: list[str]) -> None:
    first, second = (resolve(compose([*overrides, *more])) for more in ([], ["optim=sgd"]))
    device = choose_device(first)
    files = {calibration_file(spec.workload, device, spec.cache_folder) for spec in (first, second)}
    assert len(files) == 2
    assert {file.parent for file in files} == {first.cache_folder / "calibrations"}


def test_a_damaged_calibration_is_said_and_measured_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, other = tmp_path / "c" / "x.json", tmp_path / "c" / "y.json"
    write_calibration(other, dataclasses.replace(MEASURED, step=9.0))
    write_calibration(path, MEASURED)
    intact = path.read_text()
    for content in (intact.replace("0.5", "0.9"), intact[:40], "", other.read_text(), "[" * 99_999):
        caplog.clear()
        path.write_text(content)
        assert read_calibration(path) is None
        assert len(caplog.records) == 1 and str(path) in caplog.text
        assert read_calibration(path) is None
        assert len(caplog.records) == 1, "it is said once"
    write_calibration(path, MEASURED)
    assert read_calibration(path) == MEASURED


def test_without_a_writable_folder_a_calibration_is_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    write_calibration(tmp_path / "file" / "x.json", MEASURED)
    assert "the next run measures again" in caplog.text
