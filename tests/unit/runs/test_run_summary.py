"""A run in a few lines."""

from __future__ import annotations

import json
from pathlib import Path

from lmlab.run_folder import RunFolder
from lmlab.runs.run_summary import describe


def test_a_run_without_files_has_not_started(tmp_path: Path) -> None:
    assert "not started" in describe(RunFolder(tmp_path))


def test_the_summary_shows_loss_entropy_and_sample(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_meta({"floor": {"bits_per_byte": 0.4321, "note": "whole documents"}})
    run.write_status("done", step=10, steps=10, tokens=2_500_000, seconds=7.0)
    run.append_row(
        {"kind": "validation", "step": 10, "loss": 1.2345, "perplexity": 3.44, "bits_per_byte": 0.5}
    )
    for step in (5, 10):
        run.append_row(
            {"kind": "tasks", "name": "order", "step": step, "num_items": 4, "accuracy": step / 16}
        )
    run.samples.write_text("# Samples\n\n```text\nOnce upon\na time\n```\n")
    summary = describe(run)
    for part in (
        "done at step 10",
        "2.50 M",
        "1.2345 nats per token",
        "0.5000",
        "0.4321 bits per byte",
        "  order            accuracy 0.6250 (step 10)",
        "Once upon\na time",
    ):
        assert part in summary
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "done"


def test_the_loss_on_each_source_is_shown(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    row = {"kind": "validation", "step": 4, "tokens": 9, "seconds": 1.0, "loss": 2.0}
    row |= {"bits_per_byte": 1.0, "loss/books": 1.25, "loss/code": 2.75}
    run.append_row(row)
    lines = describe(run).splitlines()
    at = next(number for number, line in enumerate(lines) if "validation loss" in line)
    assert [line.split() for line in lines[at + 1 : at + 3]] == [
        ["of", "books", "1.2500", "nats", "per", "token"],
        ["of", "code", "2.7500", "nats", "per", "token"],
    ]
