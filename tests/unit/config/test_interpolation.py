"""Texts of interpolations become values as on the command line; names may use ``${hydra:...}``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from user_settings_file import use_settings

from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError


def value_of(config: RunConfig, key: str) -> Any:
    node: Any = config.as_dict()
    for part in key.split("."):
        node = node[part]
    return node


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("optim.lr", "${oc.env:NOT_SET_HERE,1e-3}", 1e-3),
        ("optim.lr", "${oc.env:GIVEN}", 0.25),
        ("optim.lr", "1e-${oc.env:DIGIT}", 1e-4),
        ("optim.betas", "[${oc.env:GIVEN},0.9]", [0.25, 0.9]),
        ("optim.betas", "${oc.env:LIST}", [0.5, 0.75]),
        ("training.steps", "${oc.env:DIGIT}", 4),
        ("model.d_ff", "${oc.env:DIGIT}", 4),
        ("model.d_ff", "${oc.env:WORD}", "auto"),
        ("runtime.compile", "${oc.env:NO}", False),
        ("reuse", "${oc.env:OFF}", False),
        ("tokenizer.special_tokens", "['${oc.env:DIGIT}']", ["4"]),
        ("study", "${oc.env:DIGIT}", "4"),
    ],
)
def test_a_text_becomes_a_value_of_the_type_that_the_setting_has(
    key: str, text: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"GIVEN": "0.25", "DIGIT": "4", "LIST": "[0.5,0.75]",
                        "WORD": "auto", "NO": "false", "OFF": "off"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    found = value_of(compose([f"{key}={text}", "schedule.warmup_steps=0"]), key)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("training.grad_clip_norm", "null", None),
        ("samples.top_k", "null", None),
        ("optim.lr", "0.5", 0.5),
        ("checkpoint.keep_steps", "[1,2]", [1, 2]),
    ],
)
def test_a_variable_has_the_grammar_of_the_command_line(
    key: str, text: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", text)
    assert value_of(compose([f"{key}=${{oc.env:GIVEN}}"]), key) == expected


def test_null_and_numbers_that_a_setting_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.steps=null: expected an integer"):
        compose(["training.steps=${oc.env:NOT_SET_HERE,'null'}"])
    with pytest.raises(ConfigError, match=r"checkpoint\.keep_steps=7: expected a list"):
        compose(["checkpoint.keep_steps=${oc.env:NOT_SET_HERE,7}"])


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"optim\.lr: the environment variable NOT_SET_HERE"):
        compose(["optim.lr=${oc.env:NOT_SET_HERE}"])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trusted package with a resolver, which says when it is imported."""
    folder = tmp_path / "resolving_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "resolvers.py").write_text(
        "from omegaconf import OmegaConf\n"
        "print('imported')\n"
        "OmegaConf.register_new_resolver('double_for_test', lambda x: 2 * x, replace=True)\n"
    )
    use_settings(tmp_path, monkeypatch, "trusted_packages: [resolving_for_test]\n")
    return folder


def test_resolvers_of_trusted_packages_are_known(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compose(["optim.lr=1e-3"])
    assert "imported" not in capsys.readouterr().out, "nothing is imported without need"
    found: list[RunConfig] = []
    arguments = ["optim.lr=${double_for_test:5e-4}"]
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    assert value_of(found[0], "optim.lr") == 1e-3
    assert compose(arguments).optim == found[0].optim
    with pytest.raises(ConfigError, match="no resolver is called triple_for_test"):
        compose(["optim.lr=${triple_for_test:5e-4}"])


def test_printing_resolves_with_the_same_resolvers(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--cfg", "job", "--package", "optim", "--resolve", "optim.lr=${double_for_test:2}"]
    assert hydra_app.main(arguments, lambda config: 1) == 0
    assert capsys.readouterr().out.count("lr: 4") == 1
