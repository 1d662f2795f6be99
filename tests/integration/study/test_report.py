"""Reports from files alone: what they say, of whole and half-finished studies, again and again."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab import publish, report, status
from lmlab.demos import Demo
from lmlab.demos.write_demo import write_demo
from lmlab.design.manifest import Job, Manifest
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.study.markdown import _verdicts
from lmlab.study.report_content import _STATES, build_content
from lmlab.study.run_records import load_study
from lmlab.study.statistics import Rule, compare
from lmlab.study.sweep_folder import Failure, SweepFolder, sweeps_in
from lmlab.study.verdicts import OWN_RATE, Verdict
from lmlab.study.write_report import write_report

WriteStudy = Callable[..., Path]


def test_a_finished_study(finished: Path) -> None:
    told = write_report(finished)
    assert any(line.startswith("Better than rms") and "none (-0.10" in line for line in told)
    assert any(line.startswith("Worse than rms") and "post (+0.20" in line for line in told)
    assert any(line.endswith("on other seeds: no difference.") for line in told)
    content = build_content(load_study(finished))
    by_arm = {row["arm"]: row for row in content["verdicts"] if row["at"] == "own best lr"}
    for arm, effect in (("none", -0.1), ("post", 0.2), ("again", 0.0)):
        row = by_arm[arm]
        assert row["low"] < row["difference"] < row["high"]
        assert row["difference"] == pytest.approx(effect, abs=0.01)
        assert row["lr"] == pytest.approx(6e-3, rel=0.2), "the invented optimum"
    assert content["finished"]
    edges = {arm["name"]: arm["edge"] for arm in content["arms"]}
    assert edges.pop("again") is None, "the replicate searches for nothing"
    assert all(sound < 6e-3 * 2.72**2 < broken for sound, broken in edges.values())


def test_an_open_verdict_says_how_many_seeds_more(
    finished: Path,
) -> None:
    # A margin that no interval lies within leaves the replicate open.
    path = next(finished.glob("sweeps/*/manifest.json"))
    manifest = json.loads(path.read_text("utf-8"))
    manifest["comparison"]["margin"] = 1e-6
    path.write_text(json.dumps(manifest), "utf-8")
    write_report(finished)
    text = (finished / "report.md").read_text("utf-8")
    assert re.search(r"\| again \|.*\*\*too few seeds\*\*, about \d+ more \|", text)
    page = (finished / "report.html").read_text("utf-8")
    assert re.search(r"too few seeds</span><small>, about \d+ more</small>", page)


def test_no_difference_says_how_large_a_one_is_ruled_out(finished: Path) -> None:
    write_report(finished)
    row = next(one for one in build_content(load_study(finished))["verdicts"]
               if one["arm"] == "again")  # fmt: skip
    bound = f"{max(abs(row['low']), abs(row['high'])):.4f}"
    text = (finished / "report.md").read_text("utf-8")
    assert f"**no difference** larger than {bound} |" in text
    page = (finished / "report.html").read_text("utf-8")
    assert f"no difference</span><small> larger than {bound}</small>" in page


def test_a_bound_is_never_told_as_zero() -> None:
    same = compare([[0.0, 1e-6, 0.0, -1e-6]], Rule(seeds=4))[0]
    verdict = Verdict("post", OWN_RATE, None, None, same.verdict, same, {})
    assert verdict.detail == " larger than 0.0001"


def test_one_seed_is_too_few_rather_than_unfinished(finished: Path) -> None:
    path = next(finished.glob("sweeps/*/manifest.json"))
    manifest = json.loads(path.read_text("utf-8"))
    manifest["comparison"]["num_seeds"] = 1
    path.write_text(json.dumps(manifest), "utf-8")
    told = write_report(finished)
    assert not any(line.startswith("Not finished") for line in told)
    assert any(line.startswith("Too few seeds for a verdict: post (+0.2") for line in told)
    assert "**too few seeds**, about 4 more |" in (finished / "report.md").read_text("utf-8")


def test_savings_in_tokens_have_a_column_only_where_there_are_some() -> None:
    row = {"arm": "post", "at": "own best lr", "lr": None, "seeds": 0, "mean": None, "low": None,
           "high": None, "difference": None, "adjusted_p": None, "verdict": "missing",
           "detail": ""}  # fmt: skip
    quiet, translate_hydra_errors = [
        row | {"tokens_told": told} for told in ("", "half of the tokens")
    ]
    assert "in tokens" not in "".join(_verdicts([quiet]))
    assert "half of the tokens |" in "".join(_verdicts([quiet, translate_hydra_errors]))


def test_the_same_files_give_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert report.main([str(finished), "--to", str(tmp_path / name)]) == 0
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert {"report.html", "report.md", "results.csv"} < set(names)
    assert {"curves.png", "curves.svg", "rates.png", "rates.svg"} < set(names)
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize("runs", [0, 1, 7, 30])
def test_a_half_finished_study(write_study: WriteStudy, runs: int) -> None:
    study = write_study(runs)
    told = write_report(study)
    assert any(line.startswith("Not finished") for line in told)
    content = build_content(load_study(study))
    assert not content["finished"]
    assert content["counts"]["missing"] > 0
    assert all(row["loss"] is not None or row["status"] == "diverged" for row in content["rates"])
    page = (study / "report.html").read_text("utf-8")
    assert "This study is not finished" in page


def test_failures_are_named(write_study: WriteStudy, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(10_000, fail="post+lr-0.003/seed1000")
    write_report(study)
    text = (study / "report.md").read_text("utf-8")
    assert "1 failed" in text
    log = "norms/post+lr-0.003/seed1000/train.log"
    assert f"| post | 0.003 | 1000 | failed | ValueError: invented | {log} |" in text
    assert status.main([str(study)]) == 0
    printed = capsys.readouterr().out
    assert "failed: post+lr-0.003/seed1000: ValueError: invented" in printed


def test_a_run_that_failed_before_it_wrote_anything(
    write_study: WriteStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(0)
    sweep = next(sweeps_in(study))
    for entry in sweep.entries():
        failure = Failure("exit code 1", sweep.job_file(entry.job, "log"))
        sweep.note(entry.job, list(entry.purposes), entry.run, failure)
    number = len(sweep.entries())
    loaded = load_study(study)
    assert build_content(loaded)["counts"] == dict.fromkeys(_STATES, 0) | {"failed": number}
    write_report(study)
    log = f"norms/sweeps/{sweep.path.name}/jobs/post+lr-0.003+seed1000.log"
    text = (study / "report.md").read_text("utf-8")
    assert f"| post | 0.003 | 1000 | failed | exit code 1 | {log} |" in text
    assert "Not finished: post (3 runs failed), none (3 runs failed)." in text
    page = (study / "report.html").read_text("utf-8")
    assert log in page and f"not finished: {number} of its runs failed;" in page
    assert status.main([str(study)]) == 0
    printed = capsys.readouterr().out
    assert "failed: post+lr-0.003/seed1000: exit code 1" in printed
    assert f"log: {log}" in printed and "missing" not in printed
    # What the run itself says since then is newer.
    entry = sweep.entries()[0]
    entry.run.path.mkdir(parents=True)
    entry.run.write_status("done", step=1, steps=1)
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
    later.note(Job("new", None, 0), ["run"], run)
    assert [one.place for one in load_study(finished).records] == ["norms/new/seed0"]
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


def test_the_table_has_a_row_a_run(finished: Path) -> None:
    write_report(finished)
    with open(finished / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    records = load_study(finished).records
    assert len(rows) == len(records)
    assert {row["status"] for row in rows} == {"done", "diverged"}


def test_a_write_up_is_made_again_from_its_records(finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "experiments" / "norms"
    assert publish.main([str(finished), str(target)]) == 0
    first = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    assert {"README.md", "report.html", "results.csv", "curves.png"} < set(first)
    shutil.rmtree(finished)
    for name in first:
        (target / name).unlink()
    assert report.main([str(target), "--to", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "results.csv").read_bytes() == first["results.csv"]
    assert publish.main([str(target)]) == 0
    assert first == {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    text = first["README.md"].decode()
    for heading in ("Which one?", "## Verdicts", "## Commands", "## What this does not show"):
        assert heading in text
    assert "All invented." in text


def test_another_studys_write_up_is_kept(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "pub"
    exhibit = tmp_path / "outputs" / "bowl_walk"
    write_demo(Demo("bowl_walk", "Which way?", []), exhibit, "python -m lmlab.train")
    other = tmp_path / "outputs" / "other"
    shutil.copytree(finished, other)
    for path in (other / "sweeps").glob("*/manifest.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"study": "other"}))

    def refused(study: Path, *names: str) -> bool:
        before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
        assert publish.main([str(study), str(target)]) == 2
        told = capsys.readouterr().err
        assert all(f'"{name}"' in told for name in names), told
        return before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}

    for _ in range(2):
        assert publish.main([str(finished), str(target)]) == 0
    assert refused(other, "norms", "other")
    assert refused(exhibit, "norms", "bowl_walk")
    shutil.rmtree(target)
    for _ in range(2):
        assert publish.main([str(exhibit), str(target)]) == 0
    assert refused(finished, "bowl_walk", "norms")
    (target / "README.md").write_text("# My project\n")
    assert refused(exhibit, "My project", "bowl_walk")


def test_the_records_say_what_the_runs_say(finished: Path, tmp_path: Path) -> None:
    publish.publish(finished, tmp_path / "kept")
    direct = build_content(load_study(finished))
    kept = build_content(load_study(tmp_path / "kept" / "records"))
    for key in ("verdicts", "rates", "curves", "arms", "headline", "counts", "noise", "problems"):
        assert direct[key] == kept[key], key


def test_status_of_all_studies(write_study: WriteStudy, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(10)
    assert status.main([str(study.parent)]) == 0
    assert re.search(r"norms +\d+ +.*missing", capsys.readouterr().out)


def test_a_folder_without_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for main in (report.main, status.main, publish.main):
        assert main([str(tmp_path)]) == 2
        assert "there is no study here" in capsys.readouterr().err


def test_a_study_in_bits_a_byte(finished: Path, tmp_path: Path) -> None:
    in_nats = build_content(load_study(finished))
    for path in (finished / "sweeps").glob("*/manifest.json"):
        content = json.loads(path.read_text())
        content["comparison"]["metric"] = "bits_per_byte"  # a third of the loss in these runs
        path.write_text(json.dumps(content))
    in_bits = build_content(load_study(finished))
    for nats, bits in zip(in_nats["verdicts"], in_bits["verdicts"], strict=True):
        assert bits["arm"] == nats["arm"]
        assert bits["difference"] == pytest.approx(nats["difference"] / 3)
        assert "bits per byte" in bits["told"] and "nats" not in bits["told"]
    assert in_bits["curves"][0]["loss"][0] == pytest.approx(in_nats["curves"][0]["loss"][0] / 3)
    write_report(finished)
    page = (finished / "report.html").read_text("utf-8")
    assert "bits/byte" in page and "nats" not in page
    publish.publish(finished, tmp_path / "kept")
    kept = build_content(load_study(tmp_path / "kept" / "records"))
    assert kept["verdicts"] == in_bits["verdicts"]


def test_an_unknown_metric_is_refused(manifest: Manifest) -> None:
    assert manifest.comparison is not None
    with pytest.raises(
        ConfigError, match=r"design\.metric=bits: accepted is loss or bits_per_byte"
    ):
        dataclasses.replace(manifest.comparison, metric="bits")
