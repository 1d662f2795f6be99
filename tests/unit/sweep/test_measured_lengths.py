"""The arms of a sweep get their steps before its runs start, and keep them in a rerun."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from designs import a_design

from lmlab.config.compose import compose, from_dict
from lmlab.design.manifest import Manifest
from lmlab.runs.measured_length import find_length
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import measured_lengths
from lmlab.sweep.measured_lengths import with_measured_lengths
from lmlab.sweep.slots import Slot

ARMS = {"a": [], "b": ["optim.lr=1e-4"], "c": ["model.d_model=32"]}


def manifest_of(overrides: list[str], **arms: list[str]) -> Manifest:
    shared = [one for one in overrides if "training.steps" not in one]
    shared += ["training.minutes=0.02", "study=s"]
    content = [compose([*shared, *own]).as_dict() for own in arms.values()]
    design = a_design(arms=arms, lr="fixed", baseline="a", num_seeds=2, extra_seeds=0)
    return Manifest("s", "", content, list(arms), list(arms.values()), design)


def steps_of(manifest: Manifest) -> list[int]:
    return [content["training"]["steps"] for content in manifest.arms]


@pytest.mark.long
def test_a_rerun_keeps_the_steps_of_the_sweep(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(overrides, **ARMS)
    for content in manifest.arms:  # so that no further process is needed
        find_length(from_dict(content))
    measured = with_measured_lengths(manifest, [Slot("cpu")] * 2)
    steps = steps_of(measured)
    assert steps[0] == steps[1] >= 1 and steps[2] >= 1
    assert capsys.readouterr().err.count("training.minutes=0.02: ") == 3
    root = tmp_path / "outputs"
    SweepFolder.of(measured, root).write_manifest(measured)
    shutil.rmtree(root / "cache" / "lengths")
    again = with_measured_lengths(manifest, [Slot("cpu")])
    assert steps_of(again) == steps
    assert again.id == measured.id
    assert capsys.readouterr().err.count("as measured when the sweep began") == 3
    assert not (root / "cache" / "lengths").exists()


@pytest.mark.long
def test_new_arms_are_measured_as_many_at_a_time_as_run(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[tuple[int, int]] = []
    real = measured_lengths.measure_at_once

    def counting(measure, configs, slots, concurrency):  # type: ignore[no-untyped-def]
        together.append((len(configs), concurrency))
        real(measure, configs, slots, concurrency)

    monkeypatch.setattr(measured_lengths, "measure_at_once", counting)
    steps = steps_of(with_measured_lengths(manifest_of(overrides, **ARMS), [Slot("cpu")] * 2))
    assert steps[0] == steps[1] >= 1 and steps[2] >= 1
    assert together == [(2, 2)], "two kinds of work in three arms, and both slots busy"
