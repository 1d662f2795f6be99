"""Experiment files: group choices in their bodies, and what they set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.config import hydra_app
from lmlab.config.run_config import RunConfig

BODY = "study: mine\nmodel:\n  norm: post\n  d_model: 64\noptim: sgd\ntraining:\n  steps: 77\n"


def compose_with(folder: Path, text: str, *overrides: str) -> RunConfig:
    """Compose a run with ``text`` as the file of experiment ``mine``, in a folder of its own."""
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment" / "mine.yaml").write_text(text)
    found: list[RunConfig] = []
    arguments = [*overrides, "--config-dir", str(folder)]
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    return found[0]


def norm(config: RunConfig) -> str:
    return config.model.norm.target.rpartition(".")[2]


@pytest.mark.parametrize("selection", ["experiment=mine", "+experiment=mine"])
def test_a_body_selects_options_and_sets_values(tmp_path: Path, selection: str) -> None:
    config = compose_with(tmp_path, BODY, selection)
    assert (config.study, config.training.steps, config.model.d_model) == ("mine", 77, 64)
    assert norm(config) == "PostRMSNorm"
    assert config.optim.target == "lmlab.optim.sgd.sgd"
    assert config.arm == "default"


@pytest.mark.parametrize("override", ["model.norm=none", "model/norm=none"])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_command_line_wins_over_the_body(tmp_path: Path, override: str, is_first: bool) -> None:
    overrides = [override, "experiment=mine"] if is_first else ["experiment=mine", override]
    config = compose_with(tmp_path, BODY, *overrides, "training.steps=78")
    assert (norm(config), config.training.steps) == ("NoNorm", 78)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# @package _global_\ndefaults:\n  - override /model/norm: none\n", "NoNorm"),
        ("defaults:\n  - override /model/norm: none\n  - _self_\n", "NoNorm"),
        ("defaults: [_self_]\nmodel.norm: post\n", "PostRMSNorm"),
        ("model:\n  norm:\n    eps: 0.5\n", "PreRMSNorm"),
    ],
)
def test_a_body_may_use_hydras_own_form(tmp_path: Path, text: str, expected: str) -> None:
    config = compose_with(tmp_path, text, "experiment=mine")
    assert norm(config) == expected
    assert config.model.norm.eps == 0.5 if "eps" in text else True


def test_values_in_the_body_win_over_the_options_that_it_selects(tmp_path: Path) -> None:
    config: Any = compose_with(tmp_path, "model: micro\noptim: sgd\n", "experiment=mine")
    assert config.optim.lr == 0.1
    changed: Any = compose_with(
        tmp_path, "defaults: [override /optim: sgd]\noptim: {lr: 0.5}\n", "experiment=mine"
    )
    assert (changed.optim.target, changed.optim.lr) == ("lmlab.optim.sgd.sgd", 0.5)


def test_an_unknown_experiment_is_reported_with_those_that_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hydra_app.main(["experiment=ablate_nrom"], lambda config: 0) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: experiment=ablate_nrom: expected one of ablate_ffn, ablate_norm,"
    )
    assert error.endswith('\nhelp: did you mean "ablate_norm"?\n')


OWN_MODEL = """\
defaults: [{norm: post}, {pos: nope}, {ffn: silu}, {attention: causal}, {init: normal}, _self_]
vocab_size: 300
context_length: 16
d_model: 16
num_layers: 1
num_heads: 2
d_ff: auto
tie_embeddings: false
"""


@pytest.mark.parametrize(
    ("text", "norm_of_it"),
    [(OWN_MODEL, "PostRMSNorm"), ("defaults: [tiny, {override norm: none}, _self_]", "NoNorm")],
)
def test_a_model_of_an_earlier_version_takes_a_parametrization(
    tmp_path: Path, text: str, norm_of_it: str
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(text)
    config = compose_with(tmp_path, BODY.replace("norm: post", "num_layers: 1"),
                          "model=own", "model.param=mup", "model.param.base_d_model=8")  # fmt: skip
    assert config.model.param.base_d_model == 8
    assert norm(config) == norm_of_it
