"""The command line of a single run: exit codes, errors, and Hydra's own flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.errors import LockedError


def never(config: RunConfig) -> int:
    raise AssertionError("nothing is run")


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["model.norm=post", "optim=sgd", "optim.lr=1"], ["study=s", "seed=3"],
        ["model/norm=none", "model.norm=post"], ["+model.attention.qk_norm_eps=1e-6"],
    ],
)  # fmt: skip
def test_the_command_line_composes_what_compose_does(arguments: list[str]) -> None:
    found: list[RunConfig] = []
    assert hydra_app.main(arguments, lambda config: found.append(config) or 7) == 7
    assert found == [compose(arguments)]


def test_a_users_error_is_printed_and_sets_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(config: RunConfig) -> int:
        raise LockedError("outputs: in use", "wait for the other run")

    assert hydra_app.main([], fail) == 75
    assert capsys.readouterr().err == "error: outputs: in use\nhelp: wait for the other run\n"


def test_an_error_of_the_configuration_is_printed_with_its_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert hydra_app.main(["model.norm=psot"], never) == 2
    assert capsys.readouterr().err == (
        "error: model.norm=psot: expected one of dyt, layernorm, none, post, rms, rms_nogain, "
        "sandwich\n"
        'help: did you mean "post"?\n'
    )


def test_an_interruption_says_how_to_resume(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(config: RunConfig) -> int:
        raise KeyboardInterrupt

    assert hydra_app.main([], interrupt) == 130
    assert "interrupted; rerun the command to resume" in capsys.readouterr().err


def test_printing_the_configuration_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert hydra_app.main(["--cfg", "job", "model.norm=post"], never) == 0
    assert "_target_: lmlab.nn.norm.PostRMSNorm" in capsys.readouterr().out


def test_composing_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hydra_app.main(["model.norm=post"], lambda config: 0) == 0
    assert list(tmp_path.iterdir()) == []


def test_options_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "theirs.yaml").write_text("study: theirs\nmodel:\n  norm: post\n")
    found: list[RunConfig] = []
    arguments = ["experiment=theirs", "--config-dir", str(tmp_path)]
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    assert found[0].study == "theirs"
    assert found[0].model.norm.target == "lmlab.nn.norm.PostRMSNorm"
