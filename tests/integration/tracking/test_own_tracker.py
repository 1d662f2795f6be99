"""A tracker of the user, in a trusted module, never ends a run."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from event_files import expected_scalars, scalars, without_final
from own_trackers import add_tracker

from lmlab.config.compose import compose, load_frozen
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.tracking import trackers_of
from lmlab.tracking.deliveries import is_delivered

TRACKER = """
    import torch
    class Tracker:
        def __init__(self, run_info, failing=""):
            self.failing = failing
            self.act("init")
        def act(self, name):
            torch.manual_seed(3)
            torch.rand(1000)
            if name == self.failing:
                raise RuntimeError("a bug of my own")
        def log(self, row):
            row["loss"] = float("nan")
            self.act("log")
        def samples(self, rows):
            self.act("samples")
        def summary(self, values):
            self.act("summary")
        def finish(self, exit_code):
            self.act("finish")
"""


@pytest.fixture
def option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    add_tracker(tmp_path, monkeypatch, TRACKER, failing="")
    return "logger=mine"


@pytest.mark.parametrize("failing", ["init", "log", "finish"])
def test_a_tracker_of_one_s_own_never_ends_a_run(
    overrides: list[str], option: str, failing: str
) -> None:
    logging.getLogger("lmlab").setLevel(logging.INFO)
    outcome = execute(compose([*overrides, option, f"logger.failing={failing}"]))
    assert outcome.exit_code == 0
    run = outcome.run
    assert run.status()["status"] == "done"
    assert [row["step"] for row in run.rows("train")] == [5, 10, 15, 20]
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert all(json.loads(line)["loss"] > 0 for line in lines)
    log = run.log.read_text()
    assert log.count("a bug of my own when") == 1
    assert log.count("Traceback") == 1
    assert "python -m lmlab.outputs track" in log


def test_a_tracker_that_draws_random_numbers_changes_no_number_of_a_run(
    overrides: list[str], option: str
) -> None:
    dropout = [*overrides, "model.dropout=0.2", "training.log_every=1"]
    losses = []
    for chosen in ("logger=none", option):
        run = execute(compose([*dropout, chosen, f"arm={chosen[7:]}", "reuse=false"])).run
        losses.append([row["loss"] for row in run.rows()])
    assert losses[0] == losses[1] and len(losses[0]) > 20


def test_a_tracker_that_fails_leaves_the_others(overrides: list[str], option: str) -> None:
    both = ["logger=[mine,tensorboard]", "logger.mine.failing=log"]
    outcome = execute(compose([*overrides, *both]))
    run = outcome.run
    assert (outcome.exit_code, run.status()["status"]) == (0, "done")
    assert without_final(scalars(run.path / "tensorboard")) == expected_scalars(run.rows())
    mine, tensorboard = trackers_of(run_config(run)["logger"]).values()
    assert not is_delivered(run, mine) and is_delivered(run, tensorboard)
    assert run.log.read_text().count("a bug of my own when") == 1


def run_config(run: RunFolder) -> dict[str, Any]:
    return load_frozen(run.config).as_dict()
