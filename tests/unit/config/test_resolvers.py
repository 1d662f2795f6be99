"""Values from Hydra and from the variables of trackers; explicit settings take precedence."""

from __future__ import annotations

import pytest

from lmlab.config.compose import compose, to_yaml
from lmlab.errors import ConfigError


def test_names_may_contain_settings_of_hydra() -> None:
    config = compose(
        [
            "model.norm=post",
            "optim.lr=1e-3",
            "study=with-${hydra:runtime.choices.model}",
            "arm=${hydra:job.override_dirname}",
            "hydra.job.config.override_dirname.exclude_keys=[study]",
        ]
    )
    assert config.study == "with-tiny"
    assert config.arm == "model.norm-post+optim.lr-1e-3"


@pytest.mark.parametrize(
    ("key", "advice"),
    [("job.num", "add -m"), ("runtime.output_dir", "output_root/study/arm"), ("nothing", "choose")],
)
def test_a_setting_of_hydra_that_is_not_known_is_refused(key: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        compose([f"study=${{hydra:{key}}}"])
    assert advice in str(caught.value)


VARIABLES = {
    "project": ("WANDB_PROJECT", "lmlab"),
    "mode": ("WANDB_MODE", "auto"),
    "entity": ("WANDB_ENTITY", None),
    "group": ("WANDB_RUN_GROUP", None),
    "name": ("WANDB_NAME", None),
    "notes": ("WANDB_NOTES", None),
    "job_type": ("WANDB_JOB_TYPE", None),
    "dir": ("WANDB_DIR", None),
    "base_url": ("WANDB_BASE_URL", None),
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, _ in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    for variable in ("WANDB_TAGS", "WANDB_DISABLED", "TRACKIO_PROJECT", "TRACKIO_DIR"):
        monkeypatch.delenv(variable, raising=False)


def logger(*overrides: str) -> dict[str, object]:
    return compose(["logger=wandb", *overrides]).logger.parameters


def test_precedence_of_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert logger() == {key: default for key, (_, default) in VARIABLES.items()} | {"tags": []}
    for variable, _ in VARIABLES.values():
        monkeypatch.setenv(variable, "disabled" if variable == "WANDB_MODE" else "of-environment")
    monkeypatch.setenv("WANDB_TAGS", "a, b,,c")
    expected = {key: "of-environment" for key in VARIABLES} | {"mode": "disabled"}
    assert logger() == expected | {"tags": ["a", "b", "c"]}
    explicit = [f"logger.{key}={'online' if key == 'mode' else 'mine'}" for key in VARIABLES]
    found = logger(*explicit, "logger.tags=[x]")
    assert found == {key: "mine" for key in VARIABLES} | {"mode": "online", "tags": ["x"]}


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", " ")
    monkeypatch.setenv("WANDB_TAGS", "")
    assert logger()["project"] == "lmlab"
    assert logger()["tags"] == []


@pytest.mark.parametrize(
    ("value", "mode"), [("true", "disabled"), ("1", "disabled"), ("false", "auto"), ("", "auto")]
)
def test_wandb_disabled(monkeypatch: pytest.MonkeyPatch, value: str, mode: str) -> None:
    monkeypatch.setenv("WANDB_DISABLED", value)
    assert logger()["mode"] == mode


def test_the_values_are_frozen_for_jobs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "of-environment")
    monkeypatch.setenv("TRACKIO_PROJECT", "of-trackio")
    assert "project: of-environment" in to_yaml(compose(["logger=wandb"]))
    assert "project: of-trackio" in to_yaml(compose(["logger=trackio"]))
