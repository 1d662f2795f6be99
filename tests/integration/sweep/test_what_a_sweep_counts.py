"""A sweep counts runs, seeds and arms alike in terminal, page, Markdown and CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sweep_fixtures import Sweeps

from lmlab import report, status


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").read_text().splitlines()))


def test_runs_are_counted_once_and_reported_under_each_study(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = sweeps.run(
        "-m", "study=g1,g2", "seed=0,1", "samples.count=1,2", "optim.lr=1e-3,0.001",
        "training.log_every=5,10",
    )  # fmt: skip
    assert printed.count("2 of 2 runs are done") == 2
    for study in ("g1", "g2"):
        folder = sweeps.outputs / study
        rows = rows_of(folder)
        assert sorted(row["seed"] for row in rows) == ["0", "1"]
        assert {row["status"] for row in rows} == {"done"} and {row["lr"] for row in rows} == {
            "0.001"
        }
        assert "2 runs; no verdicts" in (folder / "report.md").read_text()
        assert "<b>2</b> done" in (folder / "report.html").read_text()
        assert status.main([str(folder)]) == 0
        _, line, total = capsys.readouterr().out.splitlines()
        assert line.split()[1:3] == ["0.001", "2"] and total == f"{study}: 2 done"


def test_one_arm_name_for_two_configurations_trains_nothing(sweeps: Sweeps) -> None:
    printed = sweeps.run("-m", "arm=same", "optim.lr=1e-3,1e-2", code=2)
    assert "arm=same: expected one configuration per arm" in printed
    assert "optim.lr (0.001 and 0.01)" in printed
    assert not (sweeps.outputs / "runs").exists()


@pytest.mark.long
def test_runs_alone_are_reported_with_the_sweep_of_their_folder(sweeps: Sweeps) -> None:
    sweeps.run("seed=7")
    sweeps.run("arm=alone", "optim.lr=0.5")
    sweeps.run("-m", "seed=0,1")
    folder = sweeps.outputs / "runs"
    assert report.main([str(folder)]) == 0
    found = {(row["arm"] == "alone", row["lr"], row["seed"]) for row in rows_of(folder)}
    assert found == {
        (False, "0.003", "0"), (False, "0.003", "1"), (False, "0.003", "7"), (True, "0.5", "0"),
    }  # fmt: skip
    text = (folder / "report.md").read_text()
    assert "4 runs of 2 arms, which differ in optim.lr" in text


@pytest.mark.long
def test_data_seeds_make_two_runs_of_one_arm(sweeps: Sweeps) -> None:
    printed = sweeps.run("-m", "seeds.data=1,2")
    assert "2 of 2 runs are done" in printed
    losses = {row["loss"] for row in rows_of(sweeps.outputs / "runs")}
    assert len(losses) == 2, "each run is trained, not one of them twice"


def test_an_empty_output_folder_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").mkdir()
    assert status.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no studies in {tmp_path} yet\n"
