"""Sweeps from experiment files and the command line: the configurations of their jobs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lmlab.config import compose as composing
from lmlab.config import hydra_app
from lmlab.config.compose import from_dict
from lmlab.config.paths import conf_folder
from lmlab.design.manifest import Manifest
from lmlab.sweep import local_launch


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration files, to which a test may add."""
    folder = tmp_path / "conf"
    shutil.copytree(conf_folder(), folder)
    for module in (hydra_app, composing):
        monkeypatch.setattr(module, "conf_folder", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def experiment(conf: Path, text: str) -> None:
    (conf / "experiment" / "mine.yaml").write_text(text)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The frozen configurations that a multirun submits."""
    found: list[Any] = []

    def keep(manifest: Manifest, settings: local_launch.LocalLaunchSettings) -> int:
        found.extend(from_dict(manifest.job_config(job)) for job in manifest.required_jobs({}))
        return 0

    monkeypatch.setattr(local_launch, "run_local_sweep", keep)
    return found


def run(*arguments: str) -> list[Any]:
    """Run the command line; return the configurations of single runs."""
    found: list[Any] = []
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    return found


def norm(config: Any) -> str:
    return str(config.model.norm.target).rpartition(".")[2]


def test_parameters_to_sweep_make_a_multirun(conf: Path, launched: list[Any]) -> None:
    experiment(
        conf,
        "study: mine\nhydra:\n  sweeper:\n    params:\n"
        "      model.norm: rms,post\n      optim.lr: 1e-3,1e-2\n",
    )
    assert run("experiment=mine", "training.steps=70") == []
    assert [(norm(config), config.optim.lr) for config in launched] == [
        ("PreRMSNorm", 1e-3), ("PreRMSNorm", 1e-2), ("PostRMSNorm", 1e-3), ("PostRMSNorm", 1e-2),
    ]  # fmt: skip
    assert len({config.arm for config in launched}) == 4
    assert launched[2].arm == "model.norm-post+optim.lr-0.001+training.steps-70"
    assert {config.study for config in launched} == {"mine"}
    assert {config.training.steps for config in launched} == {70}
    assert sorted(path.name for path in conf.parent.iterdir()) == ["conf"], "Hydra makes no folders"


@pytest.mark.parametrize("form", ["model.norm=none", "model/norm=none"])
def test_the_command_line_replaces_a_parameter_to_sweep(
    conf: Path, launched: list[Any], form: str
) -> None:
    experiment(conf, "hydra:\n  sweeper:\n    params:\n      model.norm: rms,post\n")
    run("experiment=mine", form)
    assert [norm(config) for config in launched] == ["NoNorm"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "model.norm=post,none", "optim.lr=1e-3"],
        ["model.norm=post,none", "-m", "optim.lr=1e-3"],
        ["model/norm=post,none", "optim.lr=1e-3", "--multirun"],
    ],
)
def test_the_multirun_flag_may_come_anywhere(
    conf: Path, launched: list[Any], arguments: list[str]
) -> None:
    assert run(*arguments) == []
    assert [norm(config) for config in launched] == ["PostRMSNorm", "NoNorm"]


def test_seeds_are_swept_within_one_arm(conf: Path, launched: list[Any]) -> None:
    run("-m", "seed=0,1,2", "model.norm=post")
    assert [(config.arm, config.seeds.init) for config in launched] == [
        ("model.norm-post", seed) for seed in range(3)
    ]
