"""A setting that the arms of a study replace is refused or told."""

from __future__ import annotations

import pytest

from lmlab.config import hydra_app
from lmlab.design.replaced_settings import check_replaced
from lmlab.errors import ConfigError

ARMS = {"base": ["optim.lr=1e-3", "model.norm=rms"], "high": ["optim.lr=3e-3", "model/norm=rms"]}


@pytest.mark.parametrize(
    ("override", "shown", "fix"),
    [
        ("optim.lr=5e-3", "optim.lr=5e-3", "['optim.lr=5e-3','model.norm=rms']"),
        ("+optim.lr=5e-3", "optim.lr=5e-3", "['optim.lr=5e-3','model.norm=rms']"),
        ("model/norm=post", "model.norm=post", "['optim.lr=1e-3','model.norm=post']"),
    ],
)
def test_what_every_arm_replaces_is_refused(override: str, shown: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_replaced(ARMS, ["seed=1", override])
    assert caught.value.message.startswith(f"{shown}: this has no effect: every arm of the study")
    assert "base (" in caught.value.message and "high (" in caught.value.message
    assert caught.value.help == f'remove it, or change an arm: "design.arms.base={fix}"'


def test_what_some_arms_replace_is_told() -> None:
    assert check_replaced(ARMS | {"new": []}, ["optim.lr=5e-3"]) == [
        "optim.lr=5e-3 does not apply to arms with their own value: base (optim.lr=1e-3), "
        "high (optim.lr=3e-3)"
    ]


def test_what_reaches_an_arm_is_no_mistake() -> None:
    assert check_replaced(ARMS, ["model.norm=rms", "training.steps=5", "optim=muon"]) == []


def test_the_command_refuses_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["experiment=ablate_norm", "model.norm=post", "hydra.launcher.plan_only=true"]
    assert hydra_app.main(arguments, lambda config: 0) == 2
    assert "error: model.norm=post: this has no effect: every arm" in capsys.readouterr().err
