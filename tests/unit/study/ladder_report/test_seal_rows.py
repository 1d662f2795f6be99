"""Sealed forecasts beside the results, and seals that prove nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.seal_rows import inside_share, seal_rows, seal_sentences
from lmlab.study.run_records import load_study
from tests.support.ladder_folders import EARLY, write_ladder
from tests.support.ladders import a_ladder


def test_forecasts_are_compared_with_what_the_rung_showed(fixed: LadderStudy) -> None:
    (seal,) = seal_rows(fixed)
    assert seal["rung"] == 3 and seal["is_own"] and not seal["problems"]
    by_name = {(row["arm"], row["quantity"]): row for row in seal["rows"]}
    assert set(by_name) == {
        ("base", "loss"), ("new", "loss"), ("again", "loss"), ("new", "gain"), ("again", "gain"),
    }  # fmt: skip
    assert by_name["new", "loss"]["actual"] == fixed.facts.cells["new"][3].mean
    assert fixed.result is not None
    assert by_name["new", "gain"]["actual"] == pytest.approx(fixed.result.gains["new"][3].gain)
    for row in seal["rows"]:
        assert row["is_inside"] == (row["low"] <= row["actual"] <= row["high"])
    inside, number = inside_share(seal["rows"])
    assert number == 5
    assert (
        f"{inside} of 5 results are within their 90% intervals" in seal_sentences(fixed, [seal])[0]
    )


def test_runs_before_the_seal_are_named(written: Any) -> None:
    early = lambda job: EARLY if job.arm == "r4-new" and job.seed == 1 else "2099-01-01T00:00:00Z"  # noqa: E731
    found = written(how={"started": early})
    (seal,) = seal_rows(found)
    (problem,) = seal["problems"]
    sentences = seal_sentences(found, [seal])
    assert sentences[0] == problem and not any("before it started" in one for one in sentences)
    assert "1 run of r4 started before" in problem and "r4-new+lr-0.003/seed1" in problem


def test_a_seal_whose_results_have_changed_says_so(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path, a_ladder(4, max_factor=12.0))
    metrics = folder / "r1-new+lr-0.003" / "seed0" / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    rows[-1]["loss"] -= 0.1
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (seal,) = seal_rows(LadderStudy.of(load_study(folder)))
    assert any("other results now" in problem for problem in seal["problems"])


def test_a_rewritten_forecast_is_in_the_headline(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path, a_ladder(4, max_factor=12.0))
    path = folder / "seals.jsonl"
    row = json.loads(path.read_text())
    row["losses"]["new"]["low"] -= 1
    path.write_text(json.dumps(row) + "\n")
    found = LadderStudy.of(load_study(folder))
    (sentence, *_) = seal_sentences(found, seal_rows(found))
    assert "was changed in seals.jsonl after it was sealed" in sentence
    path.unlink()
    found = LadderStudy.of(load_study(folder))
    assert seal_rows(found) == []
    assert "No sealed forecast of r4 was found" in seal_sentences(found, [])[0]


def test_a_further_rung_keeps_the_seal_of_the_one_below(tmp_path: Path) -> None:
    write_ladder(tmp_path, a_ladder(4, max_factor=12.0))
    folder = tmp_path / "ladder"
    for run in folder.glob("r*/seed*/status.json"):
        assert run.exists()
    again = write_ladder(tmp_path, a_ladder(5, max_factor=12.0), reuse=True)
    found = LadderStudy.of(load_study(again))
    older, own = seal_rows(found)
    assert (older["rung"], older["is_own"], own["rung"], own["is_own"]) == (3, False, 4, True)
    assert not older["problems"] and inside_share(older["rows"])[1] == 3


def test_an_unfinished_rung_has_a_forecast_and_no_result(written: Any) -> None:
    found = written(how={"skip": lambda job: job.arm == "r4-base"})
    (seal,) = seal_rows(found)
    known = {row["arm"] for row in seal["rows"] if row["is_inside"] is not None}
    assert known == {"new", "again"}, "losses of the arms that are complete"
