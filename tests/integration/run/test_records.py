"""What a run trusts in the records of its folder when it is started again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute


def remove_row(run: RunFolder, step: int) -> None:
    """Overwrite the validation row of a step with zeros."""
    path = run.path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        row = json.loads(line)
        if row["kind"] == "validation" and row["step"] == step:
            lines[number] = b"\0" * (len(line) - 1) + b"\n"
    path.write_bytes(b"".join(lines))


def losses(run: RunFolder) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in run.rows("validation")]


@pytest.mark.long
def test_a_run_whose_records_are_damaged_comes_to_the_same_result(
    overrides: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose([*overrides, "arm=a", "checkpoint.keep_last=9"])
    written: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        written.append("sync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        text = Path(source).read_text() if Path(target).name == "status.json" else ""
        if '"done"' in text or Path(target).parent.name == "checkpoints":  # not the preflight's
            written.append("done" if text else f"write {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    run = execute(config).run
    monkeypatch.undo()
    synced = {"step_00000005": 1, "step_00000010": 2, "step_00000015": 3, "step_00000020": 4}
    for name, number in synced.items():  # a checkpoint covers its rows
        before = written[: written.index(f"write {name}")]
        assert before.count("sync metrics.jsonl") >= number
    assert written[: written.index("done")].count("sync metrics.jsonl") > len(synced)
    expected = losses(run)
    assert run.status()["status"] == "done"

    remove_row(run, 20)
    assert run.status()["status"] == "interrupted"
    assert execute(config).run == run
    assert losses(run) == expected
    assert run.status()["status"] == "done"
    assert "metrics.jsonl: 1 line cannot be read" in caplog.text
    assert "lacks the evaluation at step 20; not resuming from step 20" in caplog.text

    metrics = run.path / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace(f'"loss": {expected[-1][1]}', '"los": 1'))
    assert run.status()["status"] == "interrupted"
    assert execute(config).run == run
    assert losses(run) == expected

    (run.path / "meta.json").write_text('{"iden')
    assert execute(config).run == run, "status.json names the run"
    other = execute(compose([*overrides, "optim.lr=0.007", "training.steps=5", "arm=a"]))
    assert other.run.path != run.path
    assert losses(run) == expected
