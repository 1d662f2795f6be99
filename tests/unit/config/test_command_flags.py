"""Every option of the command line takes effect or is refused with a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config import hydra_app
from lmlab.config.run_config import RunConfig


def never(config: RunConfig) -> int:
    raise AssertionError("nothing is run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--package", "optim"], "--package: has no effect without --cfg"),
        (["--resolve"], "--resolve: has no effect without --cfg"),
        (["-m", "--cfg", "job"], "--cfg and -m: expected one of them"),
        (["-m", "--info"], "--info and -m: expected one of them"),
        (["--run", "-m"], "--run and -m: expected one of them"),
        (["--experimental-rerun", "missing"], "--experimental-rerun missing: not supported"),
        (["--shell-completion"], "--shell-completion: expected install=SHELL"),
        (["--cfg", "job", "-p", "optom"], "--package optom: no such part of the configuration"),
        (["--config-path", "."], "--config-path .: expected a folder with a complete"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: no such folder"),
        (["--config-name", "nothing"], "--config-name nothing: no such file in"),
        (["--cfg", "job", "--cfg", "hydra"], "--cfg: given 2 times"),
        (["--cfg", "jobb"], "argument --cfg/-c: invalid choice"),
        (["--frobnicate"], "--frobnicate: unknown option"),
        (["--cfg", "job", "optim.lr=fast"], "optim.lr=fast: expected a number"),
        (["--cfg", "job", "model.num_heads=3"], "model.num_heads=3: expected a divisor"),
    ],
)
def test_an_option_that_would_be_dropped_is_refused(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hydra_app.main(arguments, never) == 2
    found = capsys.readouterr()
    assert found.err.startswith(f"error: {message}")
    assert found.out == ""


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--cfg", "job", "-p", "optim"], "# @package optim\n_target_: lmlab.optim.adamw.adamw"),
        (["--cfg", "job", "--resolve", "seed=3"], "init: 3"),
        (["--cfg", "all", "--resolve", "seed=3"], "init: 3"),
        (["--cfg", "all", "--resolve", "-p", "hydra.launcher"], "plan_only: false"),
        (["--cfg", "job", "data=text"], "train: ???"),
    ],
)
def test_what_is_asked_for_is_printed(
    arguments: list[str], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hydra_app.main(arguments, never) == 0
    assert printed in capsys.readouterr().out


def test_a_setting_that_is_typed_twice_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    found: list[RunConfig] = []
    arguments = ["optim.lr=1", "seed=1", "optim.lr=2", "seed=1"]
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    assert found[0].optim.lr == 2
    assert [each.getMessage() for each in caplog.records] == [
        "optim.lr is set twice; the last counts: optim.lr=2"
    ]


def test_a_named_file_may_be_a_part_of_a_configuration_or_complete(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("model.norm: post\nstudy: mine\n")
    (tmp_path / "whole.yaml").write_text("defaults: [train, _self_]\nstudy: mine\n")
    found: list[RunConfig] = []
    for name in ("part", "whole"):
        arguments = ["--config-name", name, "--config-dir", str(tmp_path)]
        assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    assert [config.study for config in found] == ["mine", "mine"]
    assert [config.model.norm.target.rpartition(".")[2] for config in found] == [
        "PostRMSNorm", "PreRMSNorm",
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.yaml", "whole.yaml"]
