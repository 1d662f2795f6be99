"""How a session ends: failures, lack of memory, signals, and what it leaves behind."""

from __future__ import annotations

import json

import pytest
import torch

from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DiskError
from lmlab.runs.execute import execute


def test_an_internal_error_is_kept_with_its_traceback(overrides, monkeypatch) -> None:
    def broken(self: object, step: int) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("lmlab.data.batches.Batches.batch", broken)
    outcome = execute(compose(overrides))
    status = outcome.run.status()
    assert outcome.exit_code == 1
    assert status["status"] == "failed"
    assert 'RuntimeError("a bug")' in status["reason"]
    assert "a bug" in outcome.run.log.read_text()
    monkeypatch.undo()
    assert execute(compose(overrides)).exit_code == 0, "the run resumes once the bug is fixed"


def test_lack_of_memory_names_the_settings_to_lower(overrides, monkeypatch) -> None:
    def exhausted(self: object, step: int) -> None:
        raise torch.OutOfMemoryError("tried to allocate 80 GiB")

    monkeypatch.setattr("lmlab.data.batches.Batches.batch", exhausted)
    config = compose([*overrides, "runtime.preflight=off"])
    with pytest.raises(ConfigError) as refused:
        execute(config)
    assert refused.value.message == "out of memory"
    assert "lower training.micro_batch_size" in str(refused.value.help)
    status = json.loads((config.named_folder / "status.json").read_text())
    assert status["status"] == "failed"
    assert "tried to allocate 80 GiB" in status["reason"]
    assert status["reason"].splitlines()[-1].startswith("help: lower training.micro_batch_size")


def test_an_error_of_the_user_reaches_the_status_and_the_caller(overrides, monkeypatch) -> None:
    def full(self: object, state: object) -> None:
        raise DiskError("cannot write: disk full", "free some space")

    monkeypatch.setattr("lmlab.training.checkpoint.Checkpoints.save", full)
    config = compose(overrides)
    with pytest.raises(DiskError, match="disk full"):
        execute(config)
    status = json.loads((config.named_folder / "status.json").read_text())
    assert (status["status"], status["step"]) == ("failed", 5)
    assert status["reason"] == "cannot write: disk full\nhelp: free some space"


def test_a_folder_taken_in_the_meantime_is_not_overwritten(overrides, monkeypatch) -> None:
    """Another process may take the folder between its choice and the lock."""
    first = execute(compose([*overrides, "arm=x"])).run
    rows = (first.path / "metrics.jsonl").read_bytes()
    monkeypatch.setattr("lmlab.runs.find_run.locate", lambda spec, identity: (first, []))
    monkeypatch.setattr(type(first), "status", lambda self: {})
    with pytest.raises(ConfigError, match="used by another configuration") as refused:
        execute(compose([*overrides, "arm=x", "optim.lr=0.002"]))
    assert refused.value.help == "rerun to get a new folder"
    assert (first.path / "metrics.jsonl").read_bytes() == rows


def test_each_session_is_recorded_and_settings_are_those_of_the_last(overrides, train) -> None:
    """Files of a second session keep the first one's record and take the new settings."""
    config = compose([*overrides, "arm=x", "training.steps=10"])
    run = execute(config).run
    (run.checkpoints / "step_00000010").rename(run.path / "moved")
    run.write_status("interrupted")
    again = compose([*overrides, "arm=x", "training.steps=10", "checkpoint.keep_last=1"])
    assert execute(again).run == run
    meta = run.meta()
    assert len(meta["sessions"]) == 2
    assert meta["sessions"][0]["stacked"] == meta["sessions"][1]["stacked"] == 1
    assert "keep_last: 1\n" in run.config.read_text()
    assert [row["step"] for row in run.rows("train")] == [5, 10]


def test_a_diverged_run_has_no_samples_and_no_measured_time(overrides) -> None:
    run = execute(compose([*overrides, "optim.lr=1e9", "training.grad_clip_norm=null"])).run
    assert run.status()["status"] == "diverged"
    assert not run.samples.exists()
    assert run.preflight().get("actual") is None
