"""A scale replaces defaults only: not what an experiment, an option or the command line sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.config.compose import compose
from lmlab.errors import ConfigError


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own options, which lmlab searches."""
    use_settings(tmp_path, monkeypatch, f"search_path: [{tmp_path / 'conf'}]\n")
    return tmp_path / "conf"


def write(conf: Path, option: str, text: str) -> None:
    path = conf / f"{option}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


ALL_THAT_A_SCALE_SETS = """
study: mine
model: gpt2_small
data: tinystories
logger: trackio
training: {steps: 777, batch_size: 3, log_every: 7}
schedule: {warmup_steps: 33}
validation: {every_steps: 11, max_tokens: 5, probes: 2}
checkpoint: {every_steps: 12, keep_last: 9}
samples: {max_new_tokens: 6}
runtime: {device: mps, threads: 2}
scale: {num_seeds: 4, margin: 0.5}
"""


@pytest.mark.parametrize("scale", ["smoke", "cpu", "reference"])
def test_a_scale_changes_nothing_that_an_experiment_sets(conf: Path, scale: str) -> None:
    write(conf, "experiment/mine", ALL_THAT_A_SCALE_SETS)
    alone = compose(["experiment=mine", "arm=a"]).as_dict()
    scaled = compose(["experiment=mine", f"scale={scale}", "arm=a"]).as_dict()
    changed = {key for key in alone if scaled[key] != alone[key]}
    assert changed == {"scale"}
    assert (scaled["scale"]["num_seeds"], scaled["scale"]["margin"]) == (4, 0.5)
    assert scaled["scale"]["name"] == scale


def test_an_experiment_may_choose_its_scale_and_the_command_line_another(conf: Path) -> None:
    write(conf, "experiment/quick", "study: quick\nscale: smoke\ntraining.steps: 70\n")
    write(conf, "experiment/quicker", "defaults: [quick]\ntraining.batch_size: 2\n")
    quick = compose(["experiment=quicker"])
    assert (quick.scale.name, quick.training.steps, quick.training.batch_size) == ("smoke", 70, 2)
    other = compose(["experiment=quicker", "scale=cpu"])
    assert (other.scale.name, other.training.steps, other.model.d_model) == ("cpu", 70, 64)


@pytest.mark.parametrize(
    ("chosen", "warmup_steps"),
    [
        ("schedule=mine", 33),  # an option of the user keeps its value
        ("schedule=same", 50),
        ("schedule=linear", 10),  # one of lmlab's, with the default that the scale replaces
        ("schedule.warmup_steps=50", 50),
    ],
)
def test_a_scale_replaces_defaults_of_options_only(
    conf: Path, chosen: str, warmup_steps: int
) -> None:
    text = "_target_: lmlab.optim.lr_schedule.linear\nmin_lr_ratio: 0.0\nwarmup_steps: "
    write(conf, "schedule/mine", text + "33\n")
    write(conf, "schedule/same", text + "50\n")
    assert compose(["scale=smoke", chosen]).schedule.warmup_steps == warmup_steps


def test_a_scale_sets_no_parameter_that_the_chosen_option_lacks(conf: Path) -> None:
    settings = f"search_path: [{conf}]\ntrusted_packages: [bare_for_test]\n"
    (conf.parent / "settings" / "lmlab" / "config.yaml").write_text(settings)
    (conf.parent / "bare_for_test.py").write_text("def bare(step, total_steps, pace): ...\n")
    write(conf, "schedule/bare", "_target_: bare_for_test.bare\n")
    with pytest.raises(ConfigError, match="requires pace"):  # and warmup_steps is no mistake
        compose(["scale=smoke", "schedule=bare"])


def test_the_shape_of_a_chosen_model_takes_precedence_over_a_scale_of_the_user(conf: Path) -> None:
    write(conf, "scale/thin", "defaults: [cpu]\nmodel: {num_layers: 2, d_model: 16}\n")
    assert compose(["scale=thin"]).model.num_layers == 2
    chosen = compose(["scale=thin", "model=gpt2_small"]).model
    assert (chosen.num_layers, chosen.d_model) == (12, 768)
