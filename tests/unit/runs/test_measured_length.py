"""Minutes become steps once: the run, its rerun and runs of equal work have the same."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from task_files import write_tasks

from lmlab.build.run_spec import resolve
from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.runs.execute import execute
from lmlab.runs.measured_length import MeasuredLength, find_length, known_steps, length_file


def minutes_of(overrides: list[str], *more: str) -> RunConfig:
    kept = [one for one in overrides if not one.startswith("training.steps")]
    return compose([*kept, "training.minutes=0.02", "study=s", "arm=a", *more])


def test_the_steps_are_unknown_until_they_are_measured(overrides: list[str]) -> None:
    config = minutes_of(overrides)
    assert (config.training.steps, config.training.minutes) == (0, 0.02)
    assert not length_file(config).exists()
    found, summary = find_length(config)
    assert found.training.steps >= 1
    assert f"{found.training.steps:,} steps, " in summary
    assert known_steps(found) is found
    by_steps = compose([*overrides, f"training.steps={found.training.steps}"])
    assert identity_settings(found) == identity_settings(by_steps)
    same_work = ["seed=3", "optim.lr=1e-5", "schedule=constant", "model.init=normal", "study=t"]
    for more in same_work:
        assert length_file(minutes_of(overrides, more)) == length_file(config), more
    other_work = [
        "training.batch_size=2", "model.d_model=32", "validation.every_steps=3", "optim=sgd",
        "checkpoint.every_steps=1", "samples.max_new_tokens=9", "training.minutes=0.03",
    ]  # fmt: skip
    for more in other_work:
        assert length_file(minutes_of(overrides, more)) != length_file(config), more


@pytest.mark.long
def test_a_rerun_finds_the_steps_in_the_run_folder(
    overrides: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run of a command keeps its steps where nothing else remembers them."""
    config = minutes_of(overrides, "schedule.warmup_steps=1000000")
    run = execute(config).run
    status = json.loads((run.path / "status.json").read_text())
    assert status["step"] == status["steps"] >= 1
    rows = [row for row in run.rows() if row["kind"] == "train"]
    warm_up = json.loads((run.path / "meta.json").read_text())["identity"]["config"]["schedule"]
    assert warm_up["warmup_steps"] == status["steps"], "shortened to what there is"
    assert rows[-1]["step"] == status["steps"]
    kept = [one for one in overrides if not one.startswith("training.steps")]
    kept += ["training.minutes=0.02", "study=s", "arm=a", "schedule.warmup_steps=1000000"]
    assert hydra_app.main([*kept, "--cfg", "job", "-p", "training"], lambda config: 0) == 0
    assert f"steps: {status['steps']}\n" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "outputs" / "cache" / "lengths")
    shutil.rmtree(tmp_path / "outputs" / "cache" / "calibrations")
    caplog.clear()
    with caplog.at_level("INFO"):
        again = execute(config)
    assert again.run.path == run.path
    assert "as measured when the run began" in caplog.text and "already complete" in caplog.text
    assert not (tmp_path / "outputs" / "cache" / "lengths").exists()
    found = find_length(minutes_of(overrides, "schedule.warmup_steps=1000000", "optim.lr=1e-5"))
    assert "as measured when" not in found[1], "other settings are another run"


def test_the_rate_has_decayed_at_the_end(overrides: list[str]) -> None:
    config = minutes_of(overrides, "schedule.min_lr_ratio=0.1", "training.log_every=1")
    run = execute(config).run
    rates = [row["lr"] for row in run.rows() if row["kind"] == "train"]
    peak = resolve(config).settings["optim"]["lr"]
    steps, warm_up = len(rates), 2
    progress = (steps - 1 - warm_up) / (steps - warm_up)  # of the last update, of a half cosine
    last = 0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2
    assert rates[-1] == min(rates[warm_up:]) == pytest.approx(peak * last, rel=1e-6)


def test_too_short_for_an_update(overrides: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        find_length(minutes_of(overrides, "training.minutes=0.00001"))
    assert caught.value.message.startswith("training.minutes=1e-05: expected at least 0.00")


def test_several_ranks_cannot_measure(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="expected null with several ranks"):
        known_steps(minutes_of(overrides))


def test_the_summary_states_the_uncertainty() -> None:
    length = MeasuredLength(12_300, 2700.0, 0.08, "80 steps of 4 sequences")
    assert length.summary() == "12,300 steps, 41 min to 49 min (80 steps of 4 sequences)"


def test_a_length_is_that_of_runs_with_the_same_tasks(overrides: list[str], tmp_path: Path) -> None:
    def file_of(*more: str) -> Path:
        return length_file(minutes_of(overrides, *more))

    scored = [file_of(write_tasks(tmp_path / str(seed), seed)) for seed in (0, 1)]
    assert len({file_of(), *scored}) == 3
    assert file_of(write_tasks(tmp_path / "moved", 1)) == scored[1]
