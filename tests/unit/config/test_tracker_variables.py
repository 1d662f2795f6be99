"""A run says which settings of its trackers come from the environment, and which do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.config import hydra_app, tracker_variables
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in tracker_variables._variables_of_options() | {"WANDB_DISABLED"}:
        monkeypatch.delenv(variable, raising=False)
    tracker_variables._print.cache_clear()


def printed(capsys: pytest.CaptureFixture[str], *overrides: str) -> list[str]:
    found: list[RunConfig] = []
    assert hydra_app.main(list(overrides), lambda config: found.append(config) or 0) == 0
    assert found
    return [line for line in capsys.readouterr().err.splitlines() if "environment" in line]


def test_the_start_says_what_was_taken_and_what_was_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, "logger=wandb") == []
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_RUN_GROUP", "group")
    monkeypatch.setenv("WANDB_DISABLED", "1")
    expected = "logger.mode=disabled (WANDB_DISABLED), logger.group=group (WANDB_RUN_GROUP)"
    assert printed(capsys, "logger=wandb", "logger.project=typed") == [
        f"from the environment: {expected}",
        "environment variables without effect: WANDB_PROJECT (logger.project=typed is set)",
    ]
    assert printed(capsys, "logger=wandb", "logger.project=typed") == [], "once per process"
    assert printed(capsys, "logger=[tensorboard,wandb]", "logger.wandb.mode=offline") == [
        "from the environment: logger.wandb.project=mine (WANDB_PROJECT), "
        "logger.wandb.group=group (WANDB_RUN_GROUP)",
        "environment variables without effect: WANDB_DISABLED (logger.wandb.mode=offline is set)",
    ]
    assert printed(capsys, "logger=none") == printed(capsys, "logger=tensorboard") == []


def test_an_experiment_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(tmp_path, monkeypatch, f"search_path: [{tmp_path / 'conf'}]\n")
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    body = "logger: wandb\nlogger.entity: of-experiment\n"
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(body)
    monkeypatch.setenv("WANDB_ENTITY", "of-environment")
    monkeypatch.setenv("WANDB_PROJECT", "of-environment")
    found = compose(["experiment=mine"]).logger
    assert (found.entity, found.project) == ("of-experiment", "of-environment")


def test_another_rank_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert printed(capsys, "logger=wandb") == []
