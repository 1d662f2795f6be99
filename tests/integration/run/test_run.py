"""What a run leaves, what a rerun does, and what an extended run takes over."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.build.factory import build_checkpoints
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DataError, LockedError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute


def test_a_run_leaves_everything_that_its_readers_need(overrides, texts) -> None:
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
    assert meta["floor"] is None, "only its maker knows the entropy of a text"
    validated = run.rows("validation")
    assert [row["step"] for row in validated] == [0, 10, 20]
    assert validated[-1]["loss"] < validated[0]["loss"]
    assert validated[0]["num_tokens"] == meta["valid_tokens"] - 1, "the whole split"
    assert [row["step"] for row in run.rows("train")] == [5, 10, 15, 20]
    assert run.samples.read_text().count("```text") >= 1


def test_a_finished_run_is_passed_over(overrides) -> None:
    run = execute(compose(overrides)).run
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    again = execute(compose(overrides))
    assert (again.run, again.exit_code) == (run, 0)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_settings_that_change_no_result_share_the_folder(overrides, capsys) -> None:
    run = execute(compose(overrides)).run
    other = [*overrides, "checkpoint.keep_last=1", "samples.count=2"]
    assert execute(compose([*other, f"arm={run.path.parent.name}"])).run == run


def test_another_configuration_under_the_same_arm_goes_elsewhere(overrides, caplog) -> None:
    caplog.set_level("INFO", logger="lmlab")
    first = execute(compose([*overrides, "arm=x"])).run
    other = execute(compose([*overrides, "arm=x", "optim.lr=0.002"])).run
    assert other.path.name.startswith("seed0-")
    assert other.path.parent == first.path.parent
    assert "config.optim.lr" in caplog.text


def test_the_same_text_elsewhere_is_the_same_run(overrides, texts, tmp_path: Path) -> None:
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


def test_an_error_of_our_own_is_kept_with_its_traceback(overrides, monkeypatch) -> None:
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
    assert execute(compose(overrides)).exit_code == 0, "it goes on when the bug is mended"


class TestExtension:
    """A finished run given more steps."""

    def test_a_constant_schedule_goes_on_as_if_it_had_been_longer(
        self, overrides, tmp_path
    ) -> None:
        constant = [*overrides, "schedule=constant", "schedule.warmup_steps=2"]
        parent = execute(compose([*constant, "arm=short"])).run
        child = execute(
            compose([*constant, "arm=long", "training.steps=30", f"parent={parent.path}"])
        ).run
        straight = execute(compose([*constant, "arm=straight", "training.steps=30"])).run
        name = "checkpoints/step_00000030/model.safetensors"
        assert (child.path / name).read_bytes() == (straight.path / name).read_bytes()
        assert child.meta()["parent"] == str(parent.path)
        assert f"extending {parent.path} from step 20" in child.log.read_text()
        steps = [row["step"] for row in child.rows("train")]
        assert steps == [5, 10, 15, 20, 25, 30]

    def test_a_schedule_that_already_decayed_is_refused(self, overrides) -> None:
        parent = execute(compose([*overrides, "arm=short"])).run
        more = [*overrides, "arm=long", "training.steps=30", f"parent={parent.path}"]
        with pytest.raises(ConfigError, match=r"schedule=constant or schedule=wsd"):
            execute(compose(more))
        assert not (parent.path.parents[1] / "long").exists()

    def test_wsd_goes_on_from_a_pinned_checkpoint(self, overrides) -> None:
        wsd = [*overrides, "schedule=wsd", "schedule.warmup_steps=2", "schedule.decay_fraction=0.5"]
        parent = execute(compose([*wsd, "arm=short", "checkpoint.keep_steps=[10]"])).run
        child = execute(
            compose([*wsd, "arm=long", "training.steps=40", f"parent={parent.path}"])
        ).run
        assert f"extending {parent.path} from step 10" in child.log.read_text()

    def test_the_ways_out_of_a_shorter_child_lead_somewhere(self, overrides) -> None:
        constant = [*overrides, "schedule=constant", "schedule.warmup_steps=2"]
        parent = execute(compose([*constant, "arm=long"])).run
        child = [*constant, "arm=child", "training.steps=10"]
        with pytest.raises(ConfigError) as told:
            execute(compose([*child, f"parent={parent.path}"]))
        advice = re.search(r"(checkpoint\.keep_steps=\S+) (reuse=false)", str(told.value))
        assert advice is not None
        kept = build_checkpoints(resolve(compose(constant)).workload, parent.checkpoints).steps()
        assert f"set training.steps above {kept[0]}," in str(told.value)
        anew = execute(compose([*constant, "arm=anew", *advice.groups()])).run
        run = execute(compose([*child, "reuse=false", f"parent={anew.path}"])).run
        assert f"extending {anew.path} from step 10" in run.log.read_text()

    def test_where_no_step_is_shared_none_is_to_be_kept(self, overrides) -> None:
        parent = execute(compose([*overrides, "arm=short", "schedule.warmup_steps=2"])).run
        child = [*overrides, "arm=long", "training.steps=30", "schedule.warmup_steps=3"]
        with pytest.raises(ConfigError, match="leave parent out to train all 30 steps") as told:
            execute(compose([*child, f"parent={parent.path}"]))
        assert "keep_steps" not in str(told.value)

    def test_another_change_is_named(self, overrides) -> None:
        parent = execute(compose([*overrides, "arm=short"])).run
        more = [*overrides, "arm=long", "optim.lr=0.5", f"parent={parent.path}"]
        with pytest.raises(ConfigError, match=r"config\.optim\.lr"):
            execute(compose(more))

    def test_a_folder_that_is_no_run(self, overrides, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="parent=.*: expected a run folder"):
            execute(compose([*overrides, f"parent={tmp_path}"]))


def test_a_vocabulary_of_another_size_is_refused(overrides, tmp_path: Path) -> None:
    run = execute(compose(overrides)).run
    saved = ["tokenizer=saved", f"tokenizer.path={run.tokenizer}", "model.vocab_size=300"]
    with pytest.raises((ConfigError, DataError), match=r"vocab_size=280"):
        execute(compose([*overrides, *saved]))


def test_the_frozen_file_runs_alone(overrides, tmp_path: Path) -> None:
    from lmlab.config.compose import to_yaml

    frozen = tmp_path / "frozen.yaml"
    frozen.write_text(to_yaml(compose(overrides)))
    command = [sys.executable, "-m", "lmlab.run", str(frozen)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "done at step 20" in done.stdout
    (status,) = tmp_path.glob("outputs/runs/*/seed0/status.json")
    assert json.loads(status.read_text())["status"] == "done"
    assert signal.SIGINT == 2
