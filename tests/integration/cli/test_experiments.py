"""Experiment files and sweeps, through the command line of a copy of the configuration."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lmlab.config import compose as composing
from lmlab.config import hydra_app
from lmlab.config.compose import from_dict
from lmlab.config.group_selection import rewrite, rewrite_all
from lmlab.config.paths import conf_folder
from lmlab.design.manifest import Manifest
from lmlab.sweep import local_launch

CONF = [conf_folder()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("model.norm=post", "model/norm=post"),
        ("model/norm=post", "model/norm=post"),
        ("model.norm=post,none", "model/norm=post,none"),
        ("+model.norm=post", "+model/norm=post"),
        ("model.norm.eps=1", "model.norm.eps=1"),
        ("model.d_model=8", "model.d_model=8"),
        ("model.norm={a: 1}", "model.norm={a: 1}"),
        ("optim=sgd", "optim=sgd"),
        ("+experiment=x", "experiment=x"),
        ("hydra.launcher=lmlab", "hydra/launcher=lmlab"),
        ("model.norm", "model.norm"),
        ("data.train=model.norm", "data.train=model.norm"),
    ],
)
def test_dots_become_slashes_where_a_group_has_that_name(given: str, expected: str) -> None:
    assert rewrite(given, CONF) == expected


def test_of_several_choices_from_a_group_the_last_stands() -> None:
    given = ["model.norm=post", "optim.lr=1", "model/norm=none", "optim.lr=2"]
    assert rewrite_all(given, CONF) == ["optim.lr=1", "model/norm=none", "optim.lr=2"]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration that a test may add to."""
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
    """The frozen configurations that a multirun would run."""
    found: list[Any] = []

    def keep(manifest: Manifest, settings: local_launch.LocalLaunchSettings) -> int:
        found.extend(from_dict(manifest.job_config(job)) for job in manifest.required_jobs({}))
        return 0

    monkeypatch.setattr(local_launch, "run_local_sweep", keep)
    return found


def single(*argv: str) -> Any:
    found: list[Any] = []
    assert hydra_app.main(argv, lambda config: found.append(config) or 0) == 0
    return found[0] if found else None


def norm(config: Any) -> str:
    return str(config.model.norm.target).rpartition(".")[2]


BODY = "study: mine\nmodel:\n  norm: post\n  d_model: 64\noptim: sgd\ntraining:\n  steps: 77\n"


@pytest.mark.parametrize("choose", ["experiment=mine", "+experiment=mine"])
def test_a_body_chooses_from_groups_and_sets_values(conf: Path, choose: str) -> None:
    experiment(conf, BODY)
    config = single(choose)
    assert (config.study, config.training.steps, config.model.d_model) == ("mine", 77, 64)
    assert norm(config) == "PostRMSNorm"
    assert config.optim.target == "lmlab.optim.sgd.sgd"
    assert config.arm == "default"


@pytest.mark.parametrize("form", ["model.norm=none", "model/norm=none"])
@pytest.mark.parametrize("first", [True, False])
def test_the_command_line_wins_over_the_body(conf: Path, form: str, first: bool) -> None:
    experiment(conf, BODY)
    words = [form, "experiment=mine"] if first else ["experiment=mine", form]
    assert norm(single(*words, "training.steps=78")) == "NoNorm"
    assert single(*words, "training.steps=78").training.steps == 78


def test_a_body_may_use_hydras_own_form(conf: Path) -> None:
    experiment(
        conf, "# @package _global_\ndefaults:\n  - override /model/norm: none\nstudy: mine\n"
    )
    assert norm(single("experiment=mine")) == "NoNorm"


def test_parameters_to_sweep_make_a_multirun(conf: Path, launched: list[Any]) -> None:
    experiment(
        conf,
        "study: mine\nhydra:\n  sweeper:\n    params:\n"
        "      model.norm: rms,post\n      optim.lr: 1e-3,1e-2\n",
    )
    assert single("experiment=mine", "training.steps=70") is None
    assert [(norm(config), config.optim.lr) for config in launched] == [
        ("PreRMSNorm", 1e-3), ("PreRMSNorm", 1e-2), ("PostRMSNorm", 1e-3), ("PostRMSNorm", 1e-2),
    ]  # fmt: skip
    assert len({config.arm for config in launched}) == 4
    assert launched[2].arm == "model.norm-post+optim.lr-0.001+training.steps-70"
    assert {config.study for config in launched} == {"mine"}
    assert {config.training.steps for config in launched} == {70}
    assert sorted(path.name for path in conf.parent.iterdir()) == ["conf"], "no folders of Hydra's"


@pytest.mark.parametrize("form", ["model.norm=none", "model/norm=none"])
def test_the_command_line_takes_the_place_of_a_parameter(
    conf: Path, launched: list[Any], form: str
) -> None:
    experiment(conf, "hydra:\n  sweeper:\n    params:\n      model.norm: rms,post\n")
    single("experiment=mine", form)
    assert [norm(config) for config in launched] == ["NoNorm"]


@pytest.mark.parametrize(
    "argv",
    [
        ["-m", "model.norm=post,none", "optim.lr=1e-3"],
        ["model.norm=post,none", "-m", "optim.lr=1e-3"],
        ["model/norm=post,none", "optim.lr=1e-3", "--multirun"],
    ],
)
def test_multirun_may_be_said_anywhere(conf: Path, launched: list[Any], argv: list[str]) -> None:
    assert single(*argv) is None
    assert [norm(config) for config in launched] == ["PostRMSNorm", "NoNorm"]


def test_seeds_are_swept_within_an_arm(conf: Path, launched: list[Any]) -> None:
    single("-m", "seed=0,1,2", "model.norm=post")
    assert [(config.arm, config.seeds.init) for config in launched] == [
        ("model.norm-post", seed) for seed in range(3)
    ]


def test_an_experiment_that_does_not_exist(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment(conf, BODY)
    assert hydra_app.main(["experiment=mien"], lambda config: 0) == 2
    error = capsys.readouterr().err
    assert "experiment=mien: expected one of ablate_ffn, ablate_norm," in error
    assert 'did you mean "mine"' in error


def test_experiments_of_the_users_own_folder(
    conf: Path, tmp_path: Path, launched: list[Any]
) -> None:
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "theirs.yaml").write_text("study: theirs\nmodel:\n  norm: post\n")
    config = single("experiment=theirs", "--config-dir", str(own.parent))
    assert (config.study, norm(config)) == ("theirs", "PostRMSNorm")
