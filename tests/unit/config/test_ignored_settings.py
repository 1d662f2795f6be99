"""A typed parameter that another one replaces is refused, and not dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.errors import ConfigError

BOTH = "schedule.warmup_steps=5: this has no effect beside schedule.warmup=0.5"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule.warmup=0.5", "schedule.warmup_steps=5"], BOTH),
        (["schedule={warmup: 0.5, warmup_steps: 5}"], BOTH),
        (
            ["schedule=wsd", "schedule.decay_fraction=0", "schedule.min_lr_ratio=0.3"],
            "schedule.min_lr_ratio=0.3: this has no effect beside schedule.decay_fraction=0",
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
    ],
)
def test_the_command_line_beats_the_other_parameter_of_a_file(
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
