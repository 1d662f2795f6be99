"""Errors of composition name the setting, its value, what is valid, and the fix."""

from __future__ import annotations

import re

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError

NORMS = "dyt, layernorm, none, post, rms, rms_nogain, sandwich"


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("steps=3", "training.steps"),
        ("training.lr=3", "optim.lr"),
        ("train.steps=3", "training.steps"),
        ("optim.lrr=3", "optim.lr"),
        ("modle=tiny", "model"),
        ("+training.label_smoothing=0.9", None),
    ],
)
def test_the_suggested_setting_is_that_of_the_nearest_name(
    override: str, nearest: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    found = re.search(r'did you mean "(.*?)"', str(caught.value))
    assert (found and found[1]) == nearest


@pytest.mark.parametrize(
    ("override", "message", "help"),
    [
        (
            "model.norm=psot", f"model.norm=psot: expected one of {NORMS}",
            'did you mean "post"?',
        ),
        (
            "model/norm=psot", f"model.norm=psot: expected one of {NORMS}",
            'did you mean "post"?',
        ),
        ("model.norm=xyz", f"model.norm=xyz: expected one of {NORMS}", None),
        ("training.steps=many", "training.steps=many: expected an integer", None),
        ("samples.temperature=hot", "samples.temperature=hot: expected a number", None),
        ("reuse=maybe", "reuse=maybe: expected true or false", None),
        ("training.steps=null", "training.steps=null: expected a value other than null", None),
        ("data=text", "data.train: missing required setting", "set data.train=..."),
        (
            "optim.lr=1,2", "optim.lr=1,2: ambiguous value",
            "write 'optim.lr=\"1,2\"' for one string, 'optim.lr=[1,2]' for a list, or add -m to "
            "sweep over the values",
        ),
        (
            "design.arms={a:[optim.lr=1]}", "design.arms={a:[optim.lr=1]}: invalid override",
            "quote an override in a list, as in key=['model.norm=post']",
        ),
        (
            "runtime.tf32=true", "runtime.tf32: this setting was removed",
            "use runtime.policy=fast, which uses TF32 where its measured error is in bounds",
        ),
    ],
)  # fmt: skip
def test_message_and_help(override: str, message: str, help: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert (caught.value.message, caught.value.help) == (message, help)


def test_an_unknown_setting_lists_its_siblings() -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["seeds.frobnicate=3"])
    assert caught.value.message == (
        "seeds.frobnicate=3: unknown setting; "
        "expected one of seeds.data, seeds.init, seeds.sampling"
    )
    assert caught.value.help == "run python -m lmlab.train --help to list the settings"


def test_an_error_of_a_resolver_is_passed_through() -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.path=/nowhere: cannot read /nowhere/tok"):
        compose(["tokenizer=saved", "tokenizer.path=/nowhere"])


@pytest.mark.parametrize(
    ("override", "message", "fix"),
    [
        ("+model.norm=none", "+model.norm=none: expected no +", "write model.norm=none"),
        ("++model.norm=none", "++model.norm=none: expected no ++", "write model.norm=none"),
        ("study=a b/ü", "study=a b/ü: expected a folder name", "write study=a-b"),
        ("arm=a(b", "arm=a(b: expected a folder name", "write arm=a-b"),
        ("study=ü", "study=ü: expected a folder name", None),
        ("experiment=null", "experiment=null: expected an option; null", "remove it"),
    ],
)
def test_the_fix_works_at_once(override: str, message: str, fix: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert caught.value.message.startswith(message)
    assert caught.value.help == fix


def test_a_group_of_the_defaults_may_have_a_plus() -> None:
    assert compose(["+optim=muon"]).optim == compose(["optim=muon"]).optim
