"""The progress of a sweep in a file, on a terminal, and the table of its results."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.design.job import Job
from lmlab.run_folder import RunFolder
from lmlab.sweep.progress_view import ProgressView, print_results
from lmlab.sweep.scheduled_run import ScheduledRun

RunOf = Callable[..., ScheduledRun]


@pytest.fixture
def run_of(tmp_path: Path, overrides: list[str]) -> RunOf:
    config: RunConfig = compose(overrides)

    def build(
        arm: str, seed: int, state: str, loss: float | None = None, lr: float | None = None,
    ) -> ScheduledRun:  # fmt: skip
        folder = RunFolder(tmp_path / f"{arm}{lr}" / str(seed))
        folder.path.mkdir(parents=True)
        if loss is not None:
            folder.append_row({"kind": "validation", "step": 1, "loss": loss})
        log = tmp_path / f"{arm}{seed}.log"
        return ScheduledRun(Job(arm, lr, seed), ["run"], config, folder, log, state=state)

    return build


def test_off_a_terminal_each_change_is_one_line(
    run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    done, waiting, old = (run_of(arm, 0, "queued", 2.5) for arm in "abc")
    old.state, old.was_finished = "done", True
    with ProgressView("s", 2) as view:
        view.update([done, waiting, old])
        done.state = "running"
        for _ in range(3):
            view.update([done, waiting, old])
        done.state, waiting.state = "done", "submitted"
        view.update([done, waiting, old])
    assert capsys.readouterr().err.splitlines() == [
        "a/seed0: running",
        "a/seed0: done, validation loss 2.5000",
    ]


def test_a_run_that_another_launch_finished_is_announced_with_its_folder(
    run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("a", 0, "elsewhere", 2.5)
    view = ProgressView("s", 1)
    view.update([run])
    run.state, run.was_finished = "done", True
    view.update([run])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"a/seed0: already done, validation loss 2.5000, in {run.folder.path}"


def test_a_terminal_shows_running_runs_and_the_time_left(run_of: RunOf) -> None:
    running, finished, queued = (run_of(arm, 0, "queued") for arm in "abc")
    running.state = "running"
    running.folder.write_status("preempted", step=50, steps=100, seconds=30.0)
    finished.state, finished.seconds = "done", 60.0
    view = ProgressView("norms", 2)
    shown = io.StringIO()
    Console(file=shown, width=100).print(view._render([running, finished, queued]))
    lines = shown.getvalue().splitlines()
    assert lines[0].strip() == "norms: 1 running, 1 done, 1 queued"
    (row,) = [line for line in lines if line.startswith("a/seed0")]
    assert row.split() == ["a/seed0", "running", "=" * 10, "50%", "30", "s"]
    # Half a run and a whole one, of a minute each, in two slots.
    assert "1 of 2 slots in use" in lines[-1]
    assert "about 45 s left" in lines[-1]


def test_results_have_one_row_per_arm_and_rate_and_list_failures(
    run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = run_of("b", 1, "failed")
    failed.reason = "killed by signal 9"
    print_results([
        run_of("b", 0, "done", 4.0), failed, run_of("a", 0, "done", 2.0, lr=0.1),
        run_of("a", 1, "done", 3.0, lr=0.1), run_of("a", 0, "done", 5.0, lr=0.01),
    ])  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["a", "0.01", "1", "5.0000", "1", "done"],
        ["a", "0.1", "2", "2.5000", "0.7071", "2", "done"],
        ["b", "0.003", "2", "4.0000", "1", "done,", "1", "failed"],
    ]
    assert lines[4] == "failed: b/seed1: killed by signal 9"
    assert lines[5].strip() == f"log: {failed.log}"
    assert lines[-1] == "4 of 5 runs are done; 1 failed"


def test_results_are_named_after_the_metric(
    run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("a", 0, "queued")
    run.metric = "bits_per_byte"
    run.folder.append_row({"kind": "validation", "step": 1, "loss": 5.0, "bits_per_byte": 1.5})
    with ProgressView("s", 1) as view:
        view.update([run])
        run.state = "done"
        view.update([run])
    print_results([run])
    printed = capsys.readouterr()
    assert "validation bits per byte 1.5000" in printed.err
    assert "validation bits per byte" in printed.out.splitlines()[0]
