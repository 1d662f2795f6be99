"""``--config FILE.yaml``: settings over which the command line takes precedence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab import account
from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.config.override_file import read_override_file
from lmlab.config.run_config import RunConfig
from lmlab.config.sweep_axes import parse
from lmlab.errors import ConfigError

MINE = """
model:
  norm: post
  d_model: 64
training.steps: 1000
schedule: linear
optim: {lr: 1.0e-3, betas: [0.8, 0.9]}
samples:
  prompts: ["Once upon", 'a "quoted" \\ text', "true", "1e3", "", "end\\\\", "it's, (1)=[2]"]
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def run(*arguments: object) -> RunConfig:
    found: list[RunConfig] = []
    assert hydra_app.main([*map(str, arguments)], lambda config: found.append(config) or 0) == 0
    return found[0]


def test_a_file_sets_options_nested_and_flat_keys_and_texts(mine: Path) -> None:
    config = run("--config", mine)
    assert config.model.norm.target.endswith("PostRMSNorm")
    assert (config.model.d_model, config.training.steps, config.optim.lr) == (64, 1000, 1e-3)
    assert config.optim.betas == [0.8, 0.9]
    assert config.schedule.target.endswith("linear")
    assert config.samples.prompts == (
        "Once upon", 'a "quoted" \\ text', "true", "1e3", "", "end\\", "it's, (1)=[2]",
    )  # fmt: skip
    assert config == compose(read_override_file(mine))
    assert "model.norm-post" in config.arm


def test_precedence_of_command_line_file_experiment_and_scale(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "e.yaml").write_text("training: {steps: 5, batch_size: 5}\n")
    typed = ["optim.lr=2", "model/norm=rms", "experiment=e", "scale=smoke"]
    config = run("--config", mine, "--config-dir", tmp_path, *typed)
    assert config.model.norm.target.endswith("PreRMSNorm")
    assert (config.optim.lr, config.training.steps, config.training.batch_size) == (2, 1000, 5)
    assert config.scale.name == "smoke"


def test_a_later_file_replaces_an_earlier_one(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("optim.lr: 7\n")
    assert run("--config", mine, "--config", tmp_path / "b.yaml").optim.lr == 7
    assert run("--config", tmp_path / "b.yaml", "--config", mine).optim.lr == 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {stesp: 3}", "training.stesp=3: unknown setting"),
        ("optim: {lr: fast}", "optim.lr=fast: expected a number"),
        ("optim: {lr: -1}", "optim.lr=-1: expected a finite number above 0"),
        ("optim: adm", "optim=adm: expected one of adafactor, adamw"),
        ("logger: [none, wandb]", "logger=[none,wandb]: expected options other than none"),
        ("optim.lr: 1\noptim: {lr: 2}", "optim.lr: set twice"),
        ("defaults: [small]", "defaults: small: expected override /group: option"),
        ("a: [1", "cannot read the file"),
        ("- 1", "cannot read the file: expected keys with values"),
        ("'a b': 1", "a b: expected a name"),
    ],
)
def test_an_error_names_the_file_and_the_key(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert hydra_app.main(["--config", str(path)], lambda config: 0) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: {message}")


def test_an_error_of_the_command_line_names_no_file(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hydra_app.main(["--config", str(mine), "optim.lr=-1"], lambda config: 0) == 2
    assert capsys.readouterr().err.startswith("error: optim.lr=-1: expected")


def test_a_missing_file_is_refused(mine: Path) -> None:
    with pytest.raises(ConfigError, match=r'no such file\nhelp: did you mean "mine\.yaml"'):
        read_override_file(mine.with_name("mien.yaml"))


def test_a_file_may_be_a_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "defaults: [override /design: comparison]\n"
        "design: {question: why, arms: {a: [model.norm=rms], b: [model.norm=post]}}\n"
    )
    overrides = read_override_file(path)
    assert "hydra.mode=MULTIRUN" in overrides
    design = compose([each for each in overrides if not each.startswith("hydra")]).design
    assert design is not None
    assert design.arms == {"a": ["model.norm=rms"], "b": ["model.norm=post"]}


def test_the_cost_of_a_file(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert account.main(["--config", str(mine), "model.d_model=32"]) == 0
    from_file = capsys.readouterr().out
    assert account.main(["model.norm=post", "model.d_model=32", "training.steps=1000"]) == 0
    assert capsys.readouterr().out == from_file


def test_the_cost_of_a_file_without_what_the_command_line_replaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("schedule.warmup_steps: 5\n")
    arguments = ["--config", str(tmp_path / "mine.yaml"), "schedule.warmup=0.5"]
    assert account.main(arguments) == 0, capsys.readouterr().err


def test_values_to_sweep_over_and_keys_of_mappings_are_written_in_the_grammar_of_hydra(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "hydra:\n  sweeper: {params: {seed: '1,2', samples.top_k: [null, 3]}}\n"
        "  launcher: {per_arm: {'*a, b=1*': {setup: ['module load x']}}}\n"
    )
    parsed = {o.key_or_group: o.value() for o in parse(read_override_file(path), None)
              if not o.is_sweep_override()}  # fmt: skip
    assert parsed["samples.top_k"] == [None, 3]
    assert parsed["hydra.launcher.per_arm"] == {"*a, b=1*": {"setup": ["module load x"]}}
    assert "seed=1,2" in read_override_file(path)
