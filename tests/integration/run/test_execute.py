"""Which files a run writes, which folder it gets, and what a rerun does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DataError, LockedError
from lmlab.run_folder import RunFolder
from lmlab.runs import execute as execute_module
from lmlab.runs.execute import execute


def test_a_run_writes_all_files_of_its_folder(overrides, texts) -> None:
    outcome = execute(compose(overrides))
    run = outcome.run
    assert outcome.exit_code == 0
    assert {path.name for path in run.path.iterdir()} == {
        "config.yaml", "meta.json", "status.json", "metrics.jsonl", "checkpoints", "tokenizer",
        "samples.md", "preflight.json", "train.log",
    }  # fmt: skip
    status, meta = run.status(), run.meta()
    assert (status["status"], status["step"], status["tokens"]) == ("done", 20, 20 * 4 * 16)
    assert meta["num_parameters"] > 0
    assert meta["sessions"][0]["versions"]["torch"]
    assert meta.get("floor") is None, "the entropy of a text is unknown"
    validated = run.rows("validation")
    assert [row["step"] for row in validated] == [0, 10, 20]
    assert validated[-1]["loss"] < validated[0]["loss"]
    assert validated[0]["num_tokens"] == meta["valid_tokens"] - 1, "the full split"
    assert [row["step"] for row in run.rows("train")] == [5, 10, 15, 20]
    assert run.samples.read_text().count("```text") >= 1


def test_a_finished_run_is_skipped(overrides) -> None:
    run = execute(compose(overrides)).run
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    again = execute(compose(overrides))
    assert (again.run, again.exit_code) == (run, 0)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_run_that_another_process_finishes_meanwhile_is_not_trained_again(
    overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process finishes it after this one has looked, and before it has the lock."""
    config, real = compose(overrides), execute_module.RunPreflight.prepare

    def prepare(*arguments: Any) -> Any:
        monkeypatch.setattr(execute_module.RunPreflight, "prepare", real)
        execute(config)
        return real(*arguments)

    monkeypatch.setattr(execute_module.RunPreflight, "prepare", prepare)
    outcome = execute(config)
    assert outcome.exit_code == 0
    assert len(outcome.run.meta()["sessions"]) == 1


def test_settings_that_change_no_result_share_the_folder(overrides, capsys) -> None:
    run = execute(compose(overrides)).run
    other = [*overrides, "checkpoint.keep_last=1", "samples.count=2"]
    assert execute(compose([*other, f"arm={run.path.parent.name}"])).run == run


def test_another_configuration_of_the_same_arm_gets_its_own_folder(overrides, caplog) -> None:
    caplog.set_level("INFO", logger="lmlab")
    first = execute(compose([*overrides, "arm=x"])).run
    other = execute(compose([*overrides, "arm=x", "optim.lr=0.002"])).run
    assert other.path.name.startswith("seed0-")
    assert other.path.parent == first.path.parent
    assert "config.optim.lr" in caplog.text


def test_a_moved_text_is_the_same_run(overrides, texts, tmp_path: Path) -> None:
    first = execute(compose([*overrides, "arm=x"])).run
    moved = tmp_path / "moved.txt"
    moved.write_bytes(texts[0].read_bytes())
    assert execute(compose([*overrides, "arm=x", f"data.train={moved}"])).run == first
    moved.write_bytes(texts[0].read_bytes() + b"One more. ")
    assert execute(compose([*overrides, "arm=x", f"data.train={moved}"])).run != first


def test_one_writer_at_a_time(overrides) -> None:
    config = compose([*overrides, "training.steps=21"])
    run = RunFolder(Path(config.output_root) / "runs" / config.arm / "seed0")
    script = (
        "import sys, time; from lmlab.storage.lock import Lock\n"
        "with Lock(sys.argv[1]): print(1, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(run.path / "run.lock")], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LockedError, match=str(holder.pid)):
            execute(config)
        assert holder.poll() is None
    finally:
        holder.kill()
        holder.wait()
    assert execute(config).exit_code == 0


def test_divergence_is_a_result(overrides) -> None:
    outcome = execute(compose([*overrides, "optim.lr=1e9", "training.grad_clip_norm=null"]))
    assert outcome.exit_code == 0
    assert outcome.run.status()["status"] == "diverged"
    assert not outcome.run.samples.exists()
    assert execute(compose([*overrides, "optim.lr=1e9", "training.grad_clip_norm=null"])) == outcome


def test_a_vocabulary_of_another_size_is_refused(overrides, tmp_path: Path) -> None:
    run = execute(compose(overrides)).run
    saved = ["tokenizer=saved", f"tokenizer.path={run.tokenizer}", "model.vocab_size=300"]
    with pytest.raises((ConfigError, DataError), match=r"vocab_size=280"):
        execute(compose([*overrides, *saved]))
