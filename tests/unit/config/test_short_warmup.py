"""The warm-up of the defaults fits into a run that is shorter; one that was typed must."""

from __future__ import annotations

import pytest

from lmlab.config.compose import compose, load_frozen, to_yaml
from lmlab.config.identity_settings import identity_settings
from lmlab.errors import ConfigError


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
def test_a_default_is_shortened_with_a_word(
    overrides: list[str], warmup_steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = compose(overrides)
    assert config.schedule.warmup_steps == warmup_steps
    if warmup_steps not in (50, 20):
        assert f"schedule.warmup_steps={warmup_steps}" in caplog.text


@pytest.mark.parametrize(
    "overrides",
    [["schedule.warmup_steps=30"], ["schedule=wsd", "schedule.decay_fraction=0.9"]],
)
def test_what_was_typed_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.") as caught:
        compose(["training.steps=20", *overrides])
    assert caught.value.help


def test_a_fraction_follows_the_steps(tmp_path) -> None:
    config = compose(["training.steps=20", "schedule.warmup=0.1"])
    assert (config.schedule.warmup, config.schedule.warmup_steps) == (0.1, 50)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_frozen(tmp_path / "config.yaml") == config


def test_no_fraction_is_the_identity_of_before() -> None:
    assert identity_settings(compose(["schedule.warmup=null"])) == identity_settings(compose([]))
