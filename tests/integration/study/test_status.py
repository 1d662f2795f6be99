"""``python -m lmlab.status`` of one study and of all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab import status
from lmlab.study.sweep_folder import sweeps_in
from tests.support.ladder_folders import write_ladder
from tests.support.ladders import a_ladder

WriteStudy = Callable[..., Path]


def test_status_lists_all_studies(
    write_study: WriteStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(10)
    assert status.main([str(study.parent)]) == 0
    assert re.search(r"norms +\d+ +.*missing", capsys.readouterr().out)


def test_a_finished_study_shows_mean_and_spread_by_arm(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.main([str(finished)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["arm", "lr", "seeds", "loss", "sd", "state"]
    rms = [line.split() for line in lines if line.startswith("rms ")]
    assert rms and all(float(row[3]) > 0 and row[-1] in ("done", "diverged") for row in rms)
    assert re.search(r"norms: \d+ done", lines[-1])


def test_a_running_run_shows_its_progress_and_remaining_time(
    write_study: WriteStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(0)
    run = next(sweeps_in(study)).entries()[0].run
    run.path.mkdir(parents=True)
    run.write_status("running", step=25, steps=100, seconds=10.0)
    with run.lock():
        assert status.main([str(study)]) == 0
    assert ", step 25 of 100, 30 s left" in capsys.readouterr().out


def test_a_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main([str(tmp_path / "absent")]) == 2
    assert "absent: no such folder" in capsys.readouterr().err


def test_a_ladder_shows_its_rungs_in_order_and_what_is_sealed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder = a_ladder(4, max_factor=12.0)
    folder = write_ladder(tmp_path, ladder, skip=lambda job: job.arm == "r4-new")
    assert status.main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rungs = [line[:2] for line in lines if re.match(r"r\d-", line)]
    assert rungs == ["r1", "r1", "r2", "r2", "r3", "r3", "r4", "r4"]
    assert lines[-2].startswith("3 of 4 rungs are complete") and "r4 lacks 3" in lines[-2]
    assert lines[-1].startswith("rung 4: forecast sealed; gains with 90% intervals: new 1.")
