"""The report of an isoFLOP study in any state, and its files."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import pytest

from lmlab import status
from lmlab.storage.json_text import dump_json
from lmlab.study.csv_tables import render_csv, render_optima_csv
from lmlab.study.ladders.ladder_facts import LadderFacts
from lmlab.study.markdown import render_markdown
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.write_records import write_compact
from lmlab.study.write_report import write_report_of
from tests.support.isoflop_folders import SIZES, isoflop_ladder, write_isoflop


def test_published_records_give_the_same_report(iso_folder: Path, tmp_path: Path) -> None:
    write_compact(load_study(iso_folder), tmp_path / "kept" / "records")
    direct = build_content(load_study(iso_folder))
    kept = build_content(load_study(tmp_path / "kept" / "records"))
    for key in ("ladder", "headline", "arms", "costs", "curves", "limits", "glossary", "noise"):
        assert kept[key] == direct[key], key


def test_no_gain_is_computed(iso_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmlab.study.ladders.ladder_facts.analyse_ladder", _fail)
    content = build_content(load_study(iso_folder))
    assert not content["ladder"]["gains"] and not content["verdicts"]
    text = render_markdown(content, []).lower()
    for word in ("holm", "verdicts and", "seal", "replicate", "baseline", "compute-equivalent"):
        assert word not in text, word


def _fail(*given: Any) -> Any:
    raise AssertionError("gains of sizes over a size")


def test_facts_of_sizes_have_no_gains(iso: Any) -> None:
    facts: LadderFacts = iso.ladder_study.facts
    assert facts.analyse() is None and facts.analyse(3) is None


@pytest.mark.long
def test_the_same_files_give_the_same_bytes(iso_folder: Path, tmp_path: Path) -> None:
    study = load_study(iso_folder)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_report_of(study, tmp_path / name, formats=("svg",))
    names = sorted(os.listdir(tmp_path / "one"))
    assert {"loss_by_size.svg", "optima_by_compute.svg", "optima.csv"} < set(names)
    assert "gains.csv" not in names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_results_and_best_sizes_as_csv(content: dict[str, Any], edges: dict[str, Any]) -> None:
    runs = list(csv.DictReader(io.StringIO(render_csv(content))))
    assert len(runs) == 4 * 3 * len(SIZES)
    assert {int(row["parameters"]) for row in runs} == set(SIZES)
    rows = list(csv.DictReader(io.StringIO(render_optima_csv(content["ladder"]["isoflop"]))))
    assert [row["budget"] for row in rows] == ["r1", "r2", "r3", "r4"]
    assert float(rows[0]["parameters_low"]) < 5e4 < float(rows[0]["parameters_high"])
    bound = list(csv.DictReader(io.StringIO(render_optima_csv(edges["ladder"]["isoflop"]))))[2]
    assert (bound["bound"], bound["parameters_high"], bound["loss"]) == ("at least", "", "")


@pytest.mark.parametrize(
    "how",
    [
        {"skip": lambda job: True},
        {"skip": lambda job: job.arm.startswith("r2")},
        {"status": lambda job: "failed" if job.seed else "done"},
        {"status": lambda job: "diverged" if job.arm == "r1-n25000" else "done"},
        {"off": lambda rung, size: 1.2},
        {"off": lambda rung, size: 1 + 0.04 * (rung - 1)},
    ],
    ids=["nothing yet", "unfinished", "one seed", "lost size", "all off", "a little off"],
)
def test_a_study_in_any_state_has_a_report(tmp_path: Path, how: dict[str, Any]) -> None:
    folder = write_isoflop(tmp_path, isoflop_ladder(SIZES[:3], 3, is_declared=True), **how)
    content = build_content(load_study(folder))
    assert content["headline"] and render_markdown(content, []).startswith("# iso")
    dump_json(content, mark_nonfinite=False)
    render_csv(content)
    render_optima_csv(content["ladder"]["isoflop"])


def test_status_shows_the_best_sizes(iso_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main([str(iso_folder)]) in (0, None)
    printed = capsys.readouterr().out
    assert "All 4 budgets have their judged runs." in printed and "Best size at 4.0e11" in printed
