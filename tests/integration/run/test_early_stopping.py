"""A run that stops early is marked as such wherever it is shown."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from lmlab.config.compose import compose
from lmlab.runs.execute import execute
from lmlab.runs.run_summary import describe
from lmlab.status import show
from lmlab.study.write_report import write_report

EARLY = "stopped early at step 6 of 20"


def test_commands_and_reports_say_that_a_run_stopped_early(
    overrides: list[str], tmp_path: Path
) -> None:
    # At this rate the float32 weights stay as they are, and so does the loss.
    settings = [*overrides, f"output_root={tmp_path}", "optim.lr=1e-15", "optim.weight_decay=0",
                "training.steps=20", "validation.every_steps=2", "samples.count=0"]  # fmt: skip
    run = execute(compose([*settings, "training.patience=2"])).run
    assert run.status()["status"] == "done"
    assert [row["step"] for row in run.rows("validation")] == [0, 2, 4, 6]
    assert f": done, {EARLY}, 0.0" in describe(run)
    assert EARLY in (run.path / "train.log").read_text()

    text = io.StringIO()
    show(Console(file=text, width=200), run.path.parents[1])
    assert EARLY in text.getvalue() and "1 stopped early" in text.getvalue()
    write_report(run.path.parents[1])
    report, rows = (
        (run.path.parents[1] / name).read_text() for name in ("report.md", "results.csv")
    )
    assert "1 of 1 runs stopped early (training.patience)" in " ".join(report.split())
    assert "Runs: 1 stopped early." in report
    assert ",stopped early,6," in rows
