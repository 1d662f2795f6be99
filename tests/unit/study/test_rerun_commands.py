"""The commands of a report reproduce the configuration of the runs they name."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest
from designs import a_design

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.study.rerun_commands import arm_commands, study_commands
from lmlab.study.run_records import Study

SHARED = ["training.steps=50", "data=text", "data.train=a b.txt", "data.valid=c.txt"]


@pytest.fixture
def norms(manifest: Manifest) -> Manifest:
    """The study of norms, as if it had been typed with overrides of its own."""
    configs = [compose([*SHARED, *own, "study=norms", "seed=0"]) for own in manifest.overrides]
    command = shlex.join(
        ["python", "-m", "lmlab.train", "-m", "experiment=norms", *SHARED, "design.num_seeds=5",
         "hydra.launcher.jobs=2"]
    )  # fmt: skip
    arms = [config.as_dict() | {"design": None} for config in configs]
    return dataclasses.replace(manifest, arms=arms, command=command)


@pytest.mark.parametrize("arm", ["rms", "post", "again"])
def test_the_command_of_an_arm_composes_the_configuration_of_its_run(
    norms: Manifest, arm: str
) -> None:
    (command,) = arm_commands(norms, arm, 0.01)
    arguments = shlex.split(command)
    assert arguments[:3] == ["python", "-m", "lmlab.train"]
    composed = compose(arguments[3:]).as_dict()
    job = Job(arm, 0.01, norms.evaluation_seeds(arm)[0])
    expected = norms.job_config(job)
    for key in ("model", "optim", "training", "data", "seed", "study", "arm"):
        assert composed[key] == expected[key], key


def test_an_arm_without_a_rate_has_no_command_yet(norms: Manifest) -> None:
    assert arm_commands(norms, "post", None) == []


def test_steps_set_by_the_study_are_spelled_out(norms: Manifest) -> None:
    assert norms.comparison is not None
    held = dataclasses.replace(
        norms, comparison=dataclasses.replace(norms.comparison, hold_tokens=True)
    )
    held.arms[1]["training"]["steps"] = 77
    (command,) = arm_commands(held, "post", 0.01)
    assert shlex.split(command).count("training.steps=50") == 1
    assert "training.steps=77" in shlex.split(command)
    assert "training.steps=77" not in shlex.split(arm_commands(norms, "rms", 0.01)[0])


def test_the_steps_of_the_study_replace_the_length_of_an_arm(norms: Manifest) -> None:
    assert norms.comparison is not None
    command = f"{norms.command} training.tokens=1e4"
    held = dataclasses.replace(
        norms, command=command, comparison=dataclasses.replace(norms.comparison, hold_tokens=True)
    )
    (command,) = arm_commands(held, "post", 0.01)
    assert "training.tokens" not in command and "training.steps=50" in shlex.split(command)


def test_the_report_of_an_earlier_sweep_names_its_folder() -> None:
    design = a_design()
    manifest = Manifest("norms", "python -m lmlab.train experiment=norms", [], [], [], design)
    commands = [
        study_commands(Study("norms", Path(folder), manifest, {}, []))[1]["command"]
        for folder in ("outputs/norms", "outputs/norms/sweeps/abc")
    ]
    assert commands == [
        "python -m lmlab.report outputs/norms", "python -m lmlab.report outputs/norms/sweeps/abc",
    ]  # fmt: skip


def test_runs_without_a_manifest_have_no_commands() -> None:
    assert study_commands(Study("runs", Path("outputs/runs"), None, {}, [])) == []
