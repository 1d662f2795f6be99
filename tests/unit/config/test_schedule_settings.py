"""A schedule ignores no typed parameter, and the default warm-up fits into a shorter run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.build.factory import build_schedule
from lmlab.build.run_spec import resolve
from lmlab.config import hydra_app
from lmlab.config.compose import compose, from_dict, load_frozen, to_yaml, with_steps
from lmlab.config.identity_settings import identity_settings
from lmlab.design.matched_tokens import match_tokens
from lmlab.design.rungs import steps_overrides
from lmlab.errors import ConfigError

BOTH = "schedule.warmup_steps=5: this has no effect with schedule.warmup=0.5"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule.warmup=0.5", "schedule.warmup_steps=5"], BOTH),
        (
            ["schedule.warmup_tokens=8192", "schedule.warmup_steps=5"],
            "schedule.warmup_steps=5: this has no effect with schedule.warmup_tokens=8192",
        ),
        (
            ["schedule=inverse_sqrt", "schedule.decay_shape=sqrt"],
            "schedule.decay_shape=sqrt: this has no effect with schedule.decay_fraction=0.0",
        ),
        (["schedule={warmup: 0.5, warmup_steps: 5}"], BOTH),
        (
            ["schedule=wsd", "schedule.decay_fraction=0", "schedule.min_lr_ratio=0.3"],
            "schedule.min_lr_ratio=0.3: this has no effect with schedule.decay_fraction=0",
        ),
    ],
)
def test_a_parameter_without_effect_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["training.steps=20", *overrides])
    assert caught.value.message == message
    assert caught.value.help.startswith("remove one of the two, or set schedule.")


def test_arms_that_could_not_differ_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-m", "scale=smoke", "schedule.warmup=0.5", "schedule.warmup_steps=5,10"]
    assert hydra_app.main(arguments, lambda config: 0) == 2
    assert BOTH in capsys.readouterr().err


@pytest.mark.parametrize(
    ("in_file", "typed", "warmup", "warmup_steps"),
    [
        ("warmup_steps: 5", "warmup=0.5", 0.5, 10),
        ("warmup: 0.5", "warmup_steps=5", None, 5),
        ("warmup_steps: 5", "warmup=null", None, 5),
        ("warmup_tokens: 1e4", "warmup_steps=5", None, 5),
        ("warmup_tokens: 1e4", "warmup=0.5", 0.5, 10),
    ],
)
def test_the_command_line_replaces_the_other_parameter_of_a_file(
    in_file: str, typed: str, warmup: float | None, warmup_steps: int, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(f"schedule.{in_file}\n")
    found = []
    arguments = ["--config", f"{tmp_path}/mine.yaml", "scale=smoke", f"schedule.{typed}"]
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    schedule = found[0].as_dict()["schedule"]
    assert (schedule.get("warmup"), schedule["warmup_steps"]) == (warmup, warmup_steps)


def test_an_experiment_with_both_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment").mkdir()
    body = "schedule: {warmup: 0.5, warmup_steps: 5}\n"
    (tmp_path / "experiment" / "both.yaml").write_text(body)
    arguments = ["--config-dir", str(tmp_path), "experiment=both"]
    assert hydra_app.main(arguments, lambda config: 0) == 2
    assert BOTH in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "warmup_steps"),
    [
        (["training.steps=20"], 20),
        (["training.steps=5", "scale=smoke"], 5),
        (["training.steps=50"], 50),
        (["training.steps=20", "schedule=wsd"], 16),  # the decay takes the last 4
        (["training.steps=20", "schedule=constant"], 20),
        (["training.steps=0"], 50),
    ],
)
def test_a_default_warmup_is_shortened_with_a_warning(
    overrides: list[str], warmup_steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = compose(overrides)
    assert config.schedule.warmup_steps == warmup_steps
    if warmup_steps not in (50, 20):
        assert f"schedule.warmup_steps={warmup_steps}" in caplog.text


@pytest.mark.parametrize(
    "overrides",
    [
        ["schedule.warmup_steps=30"],
        ["schedule={warmup_steps: 30}"],
        ["schedule=wsd", "schedule.decay_fraction=0.9"],
    ],
)
def test_a_typed_warmup_that_does_not_fit_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.") as caught:
        compose(["training.steps=20", *overrides])
    assert caught.value.help


def test_a_fraction_follows_the_steps(tmp_path: Path) -> None:
    config = compose(["training.steps=20", "schedule.warmup=0.1"])
    assert (config.schedule.warmup, config.schedule.warmup_steps) == (0.1, 50)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_frozen(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    "unused", ["schedule.warmup=null", "schedule.warmup_tokens=null", "schedule.decay_shape=linear"]
)
def test_a_setting_that_is_not_used_is_the_identity_of_before(unused: str) -> None:
    before = identity_settings(compose(["schedule=wsd"]))
    assert before["schedule"].keys() == {
        "_target_", "warmup_steps", "decay_fraction", "min_lr_ratio"
    }  # fmt: skip
    assert identity_settings(compose(["schedule=wsd", unused])) == before


def test_two_other_lengths_of_the_warmup_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["schedule.warmup=0.5", "schedule.warmup_tokens=8192"])
    assert caught.value.message == (
        "schedule.warmup=0.5 and schedule.warmup_tokens=8192: expected one length of the warm-up"
    )


def test_tokens_of_the_warmup_stay_on_the_rungs_of_a_ladder_and_with_equal_tokens() -> None:
    """Arms and rungs with other batch sizes warm up on the same tokens."""
    small = ["training.batch_size=8", "model.context_length=64", "training.steps=400"]
    tokens = [*small, "schedule.warmup_tokens=10240"]
    rung = steps_overrides(compose(tokens).as_dict(), 100)
    assert not any(override.startswith("schedule.") for override in rung)
    for batch_size, warmup_steps in ((8, 20), (16, 10), (32, 5)):
        sizes = [*tokens, f"training.batch_size={batch_size}"]
        matched = match_tokens(compose(sizes).as_dict(), compose(tokens).as_dict())
        for content in (compose([*sizes, *rung]).as_dict(), matched):
            schedule = build_schedule(resolve(from_dict(content)))
            factors = [schedule(step) for step in range(100)]
            assert factors.index(1.0) == warmup_steps - 1


def test_tokens_of_the_warmup_that_do_not_fit_into_measured_steps_are_refused() -> None:
    config = compose(["training.minutes=1", "schedule.warmup_tokens=40960"])
    assert with_steps(config, 10).training.steps == 10
    with pytest.raises(ConfigError, match=r"schedule.warmup_tokens=40960, 10 steps: expected 0 to"):
        with_steps(config, 9)
