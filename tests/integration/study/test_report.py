"""Reports of finished and unfinished studies, written from the files of a study."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from study_fixtures import write_run

from lmlab import publish, report, status
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.run_folder import RunFolder
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.sweep_folder import Failure, SweepFolder, sweeps_in
from lmlab.study.write_report import write_report

WriteStudy = Callable[..., Path]


def test_the_report_of_a_finished_study_finds_the_simulated_effects(finished: Path) -> None:
    lines = write_report(finished)
    assert any(line.startswith("Better than rms") and ": none by 0.10" in line for line in lines)
    assert any(line.startswith("Worse than rms") and ": post by 0.20" in line for line in lines)
    assert any(line.endswith("different seeds): no difference, as expected.") for line in lines)
    content = build_content(load_study(finished))
    by_arm = {row["arm"]: row for row in content["verdicts"] if row["at"] == "own best lr"}
    for arm, effect in (("none", -0.1), ("post", 0.2), ("again", 0.0)):
        row = by_arm[arm]
        assert row["low"] < row["difference"] < row["high"]
        assert row["difference"] == pytest.approx(effect, abs=0.01)
        assert row["lr"] == pytest.approx(6e-3, rel=0.2), "the optimum of the simulated losses"
    assert content["finished"]
    edges = {arm["name"]: arm["edge"] for arm in content["arms"]}
    assert edges.pop("again") is None, "the replicate has no search of its own"
    assert all(stable < 6e-3 * 2.72**2 < diverged for stable, diverged in edges.values())


def test_an_inconclusive_verdict_states_how_many_seeds_are_needed(finished: Path) -> None:
    # With a margin smaller than any interval the replicate is inconclusive.
    path = next(finished.glob("sweeps/*/manifest.json"))
    manifest = json.loads(path.read_text("utf-8"))
    manifest["comparison"]["margin"] = 1e-6
    path.write_text(json.dumps(manifest), "utf-8")
    write_report(finished)
    text = (finished / "report.md").read_text("utf-8")
    assert re.search(r"\| again \|.*\*\*inconclusive\*\*: about \d+ more seeds needed \|", text)
    page = (finished / "report.html").read_text("utf-8")
    assert re.search(r"inconclusive</span><small>: about \d+ more seeds needed</small>", page)


def test_no_difference_states_the_largest_possible_one(reported: Path) -> None:
    row = next(one for one in build_content(load_study(reported))["verdicts"]
               if one["arm"] == "again")  # fmt: skip
    bound = f"{max(abs(row['low']), abs(row['high'])):.4f}"
    text = (reported / "report.md").read_text("utf-8")
    assert f"**no difference** larger than {bound} |" in text
    page = (reported / "report.html").read_text("utf-8")
    assert f"no difference</span><small> larger than {bound}</small>" in page


def test_one_seed_is_inconclusive_rather_than_unfinished(finished: Path) -> None:
    path = next(finished.glob("sweeps/*/manifest.json"))
    manifest = json.loads(path.read_text("utf-8"))
    manifest["comparison"]["num_seeds"] = 1
    path.write_text(json.dumps(manifest), "utf-8")
    lines = write_report(finished)
    assert not any(line.startswith("Not finished") for line in lines)
    assert any(
        line.startswith("Inconclusive (more seeds needed): post (loss +0.2") for line in lines
    )
    assert "**inconclusive**: at least 4 more seeds needed |" in (finished / "report.md").read_text(
        "utf-8"
    )


def test_the_same_files_give_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert report.main([str(finished), "--to", str(tmp_path / name)]) == 0
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert {"report.html", "report.md", "results.csv"} < set(names)
    assert {"curves.png", "curves.svg", "rates.png", "rates.svg"} < set(names)
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize("runs", [0, 1, 7, 30])
def test_an_unfinished_study_is_reported_with_its_results_so_far(
    write_study: WriteStudy, runs: int
) -> None:
    study = write_study(runs)
    lines = write_report(study)
    assert any(line.startswith("Not finished") for line in lines)
    content = build_content(load_study(study))
    assert not content["finished"]
    assert content["counts"]["missing"] > 0
    assert all(row["loss"] is not None or row["status"] == "diverged" for row in content["rates"])
    page = (study / "report.html").read_text("utf-8")
    assert "This study is not finished" in page


def test_failed_runs_are_listed_with_reason_and_log(
    write_study: WriteStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(10_000, fail="post+lr-0.003/seed1000")
    write_report(study)
    text = (study / "report.md").read_text("utf-8")
    assert "1 failed" in text
    log = "norms/post+lr-0.003/seed1000/train.log"
    assert f"| post | 0.003 | 1000 | failed | ValueError: simulated | {log} |" in text
    assert status.main([str(study)]) == 0
    printed = capsys.readouterr().out
    assert "failed: post+lr-0.003/seed1000: ValueError: simulated" in printed


def test_a_run_that_failed_before_writing_anything_is_reported(
    write_study: WriteStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(0)
    sweep = next(sweeps_in(study))
    for entry in sweep.entries():
        failure = Failure("exit code 1", sweep.job_file(entry.job, "log"))
        sweep.add_entry(entry.job, list(entry.purposes), entry.run, failure)
    number = len(sweep.entries())
    loaded = load_study(study)
    counts = build_content(loaded)["counts"]
    assert {state: count for state, count in counts.items() if count} == {"failed": number}
    write_report(study)
    log = f"norms/sweeps/{sweep.path.name}/jobs/post+lr-0.003+seed1000.log"
    text = (study / "report.md").read_text("utf-8")
    assert f"| post | 0.003 | 1000 | failed | exit code 1 | {log} |" in text
    assert "Not finished: post (3 runs failed), none (3 runs failed)." in text
    page = (study / "report.html").read_text("utf-8")
    assert log in page and f"not finished: {number} runs failed." in page
    assert status.main([str(study)]) == 0
    printed = capsys.readouterr().out
    assert "failed: post+lr-0.003/seed1000: exit code 1" in printed
    assert f"log: {log}" in printed and "missing" not in printed
    # What the run itself writes later takes precedence.
    entry = sweep.entries()[0]
    write_run(entry.run, entry.job, fails=False)
    assert load_study(study).records[0].state == "done"


def test_each_sweep_of_a_folder_keeps_its_report(
    finished: Path, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = next(sweeps_in(finished))
    before = len(load_study(finished).records)
    for entry in earlier.entries():
        (entry.run.path / "config.yaml").touch()
    plain = dataclasses.replace(manifest, comparison=None)
    later = SweepFolder.of(plain, finished.parent)
    later.write_manifest(plain)
    run = RunFolder(finished / "new" / "seed0")
    run.path.mkdir(parents=True)
    run.write_status("done", step=1, steps=1)
    (run.path / "config.yaml").touch()
    later.add_entry(Job("new", None, 0), ["run"], run)
    assert [record.folder for record in load_study(finished).records] == ["norms/new/seed0"]
    assert len(load_study(earlier.path).records) == before
    assert status.main([str(finished)]) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"other runs in {finished}: \d+ done, \d+ diverged", printed)
    assert f"python -m lmlab.report {earlier.path}\n" in printed
    assert status.main([str(finished.parent)]) == 0
    assert re.search(rf"norms +{before + 1} ", capsys.readouterr().out)
    assert report.main([str(earlier.path)]) == 0
    text = (earlier.path / "report.md").read_text("utf-8")
    assert "Worse than rms" in text
    assert f"python -m lmlab.report outputs/norms/sweeps/{earlier.path.name}\n" in text
    assert not (finished / "report.md").exists()


def test_the_csv_has_one_row_per_run(reported: Path) -> None:
    with open(reported / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    records = load_study(reported).records
    assert len(rows) == len(records)
    assert {row["status"] for row in rows} == {"done", "diverged"}


def test_a_folder_without_a_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for main, message in (
        (report.main, ": not a study; expected sweeps/"),
        (publish.main, ": not a published folder (no records/)"),
    ):
        assert main([str(tmp_path)]) == 2
        assert message in capsys.readouterr().err
        assert main([str(tmp_path / "nowhere")]) == 2
        assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.long
def test_a_study_may_compare_bits_per_byte(finished: Path, tmp_path: Path) -> None:
    in_nats = build_content(load_study(finished))
    for path in (finished / "sweeps").glob("*/manifest.json"):
        content = json.loads(path.read_text())
        content["comparison"]["metric"] = "bits_per_byte"  # a third of the loss in these runs
        path.write_text(json.dumps(content))
    in_bits = build_content(load_study(finished))
    for nats, bits in zip(in_nats["verdicts"], in_bits["verdicts"], strict=True):
        assert bits["arm"] == nats["arm"]
        assert bits["difference"] == pytest.approx(nats["difference"] / 3)
    assert in_bits["unit"] == "bits per byte"
    assert in_bits["curves"][0]["loss"][0] == pytest.approx(in_nats["curves"][0]["loss"][0] / 3)
    write_report(finished)
    page = (finished / "report.html").read_text("utf-8")
    others = page.replace("training loss (nats per token)", "")  # training knows no bytes
    assert "bits/byte" in page and "nats" not in others
    publish.publish(finished, tmp_path / "kept")
    kept = build_content(load_study(tmp_path / "kept" / "records"))
    assert kept["verdicts"] == in_bits["verdicts"]
