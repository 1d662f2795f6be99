"""Callbacks and variables surround the run itself, and a multirun may hold several studies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.config import hydra_app
from lmlab.config.run_config import RunConfig
from lmlab.errors import LockedError

CALLBACK = '''"""A callback that prints what it is called with."""

import os

from hydra.experimental.callback import Callback


class Printing(Callback):
    def __init__(self, mark):
        self.mark = mark

    def on_run_start(self, config, **kwargs):
        print(self.mark, "run starts")

    def on_job_start(self, config, **kwargs):
        name = os.path.basename(os.path.dirname(config.hydra.runtime.output_dir))
        print(self.mark, "job starts in", name, "with", os.environ.get("SET_FOR_TEST"))

    def on_job_end(self, config, job_return, **kwargs):
        print(self.mark, "job ends", job_return.status.name)

    def on_run_end(self, config, job_return, **kwargs):
        print(self.mark, "run ends", job_return.status.name)
'''
ARGUMENTS = [
    "arm=mine",
    "+hydra.callbacks.a={_target_:printing_for_test.Printing,mark:1}",
    "+hydra.callbacks.b={_target_:printing_for_test.Printing,mark:2}",
    "+hydra.job.env_set.SET_FOR_TEST=yes",
]


@pytest.fixture(autouse=True)
def _trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "printing_for_test.py").write_text(CALLBACK)
    use_settings(tmp_path, monkeypatch, "trusted_packages: [printing_for_test]\n")


def test_callbacks_and_variables_surround_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: RunConfig) -> int:
        print("training with", os.environ.get("SET_FOR_TEST"))
        return 0

    assert hydra_app.main(ARGUMENTS, run) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 run starts", "2 run starts",
        "1 job starts in mine with yes", "2 job starts in mine with yes",
        "training with yes",
        "2 job ends COMPLETED", "1 job ends COMPLETED",
        "2 run ends COMPLETED", "1 run ends COMPLETED",
    ]  # fmt: skip
    assert "SET_FOR_TEST" not in os.environ


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_callbacks_learn_of_a_failure(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: RunConfig) -> int:
        if how == "raises":
            raise LockedError("in use")
        return 75

    assert hydra_app.main(ARGUMENTS, run) == 75
    assert "1 job ends FAILED" in capsys.readouterr().out


def test_a_mistake_in_the_configuration_calls_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert hydra_app.main([*ARGUMENTS, "model.norm=psot"], lambda config: 0) == 2
    assert capsys.readouterr().out == ""


def test_env_copy_takes_a_variable_of_this_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SET_FOR_TEST", "before")
    arguments = [*ARGUMENTS[:3], "hydra.job.env_copy=[SET_FOR_TEST]"]
    assert hydra_app.main(arguments, lambda config: 0) == 0
    assert "with before" in capsys.readouterr().out


def test_verbose_shows_debug_messages(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    def run(config: RunConfig) -> int:
        logging.getLogger("a.library").debug("a detail")
        return 0

    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.handlers.clear()
    try:
        assert hydra_app.main(["hydra.verbose=true"], run) == 0
        assert "a detail" in capsys.readouterr().err
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def test_a_mistake_in_the_last_of_several_studies_is_reported_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["-m", "experiment=ablate_norm,ablate_pos", "design.arms.nope=['optim.lrr=1']"]
    assert hydra_app.main(arguments, lambda config: 1) == 2
    assert "lrr" in capsys.readouterr().err


PLAN = "hydra.launcher.plan_only=true"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=lr_search", "model.norm=pst"], "model.norm=pst: expected one of"),
        (["experiment=lr_search", "trainin.steps=3"], "trainin.steps=3: unknown setting"),
        (["experiment=nosuch"], "experiment=nosuch: expected one of"),
        (["hydra.mode=MULTIRUN", "seed=0,1", "model.norm=pst"], "model.norm=pst: expected one of"),
        (["experiment=lr_search", "seed=a(b"], "seed=a(b: invalid override"),
        (["-m", 'hydra.launcher.driver={"a": 1}', "seed=a(b"], "seed=a(b: invalid override"),
        (
            ["design.arms.new=['optim.lr=1e-3']"],
            "error: design.arms.new=['optim.lr=1e-3']: design is null, and has no settings",
        ),
        (
            ["experiment=lr_search", "design.arms.a=optim.lr=1"],
            "design.arms.a=optim.lr=1: expected a",
        ),
        (["training.steps=5"], f"{PLAN}: this has no effect on a single run"),
    ],
)
def test_the_mistake_and_not_the_launcher_is_reported(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hydra_app.main([*arguments, PLAN], lambda config: 0) == 2
    assert message in capsys.readouterr().err.splitlines()[0]
