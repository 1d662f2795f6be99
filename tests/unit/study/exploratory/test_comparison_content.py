"""The sections of a comparison."""

from __future__ import annotations

from pathlib import Path

from found_runs import write_found_run, write_found_runs

from lmlab.study.exploratory.write_comparison import Choices, compare_runs
from lmlab.study.figures import draw_curves

A = {0: 3.00, 1: 3.02, 2: 2.99, 3: 3.01}
B = {0: 2.90, 1: 2.93, 2: 2.88, 3: 2.91}
POST = ["model.norm=post"]


def test_runs_and_differences_are_listed(tmp_path: Path) -> None:
    a, b = write_found_runs(tmp_path, "a", A), write_found_runs(tmp_path, "b", B, POST)
    content = compare_runs(a, b, Choices())
    sections = {one["id"]: one for one in content["sections"]}
    (runs,) = sections["runs"]["tables"]
    assert [row[:2] for row in runs["rows"]] == [
        [group, str(seed)] for group in "AB" for seed in range(4)
    ]
    (verdicts,) = sections["verdict"]["tables"]
    assert verdicts["columns"][-2:] == ["p", "exploratory verdict"]
    assert [row[0] for row in verdicts["rows"]] == ["A", "B"]
    (costs,) = sections["fairness"]["tables"]
    assert [row[0] for row in costs["rows"]] == ["A", "B"]
    for section in content["sections"]:
        for table in section["tables"]:
            assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_equal_settings_are_said_to_be_equal(tmp_path: Path) -> None:
    """Two groups of one configuration: nothing but chance differs."""
    a = write_found_runs(tmp_path, "a", A)
    b = write_found_runs(tmp_path, "b", {7: 3.0, 8: 3.03, 9: 2.98})
    content = compare_runs(a, b, Choices())
    (settings,) = (one for one in content["sections"] if one["id"] == "settings")
    assert settings["tables"] == []
    assert settings["notes"] == ["All settings but the seeds are equal."]
    assert content["result"]["verdict"] == "inconclusive"


def test_a_single_evaluation_is_no_curve(tmp_path: Path) -> None:
    run = write_found_run(tmp_path, "a", 0, 3.0)
    other = write_found_run(tmp_path, "b", 0, 3.0, POST)
    for one in (run, other):
        rows = one.rows()
        one.keep_rows_up_to(300, [row for row in rows if row["step"] in (0, 300)])
    content = compare_runs(str(run.path), str(other.path), Choices())
    (curves,) = (one for one in content["sections"] if one["id"] == "curves")
    assert curves["notes"][0].startswith("There are no curves")
    assert draw_curves(content) is None
