"""The page that lists all studies of an output folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.study.index_page import write_index, write_summary


def add_study(root: Path, name: str, **changes: Any) -> Path:
    """Write the files of a report as far as the list reads them."""
    folder = root / name
    folder.mkdir(parents=True)
    content = {
        "study": name, "title": name.replace("_", " "), "question": None, "headline": [],
        "counts": {"done": 1, "failed": 0}, "finished": True, "generated": "2026-01-01 00:00:00",
        "curves": [float("nan")], "samples": ["long"],
    }  # fmt: skip
    write_summary(content | changes, folder)
    for file in ("report.html", "results.csv"):
        (folder / file).touch()
    return folder


def test_studies_are_listed_with_question_headline_and_links(tmp_path: Path) -> None:
    add_study(
        tmp_path, "a b&c", question="Is <post> better?", headline=["post is worse"],
        counts={"done": 9, "diverged": 2, "failed": 0},
    )  # fmt: skip
    page = write_index(tmp_path).read_text("utf-8")
    assert '<a href="a%20b%26c/report.html">a b&amp;c</a>' in page
    assert "Is &lt;post&gt; better?" in page
    assert "<li>post is worse</li>" in page
    assert page.index("<b>9</b> done") < page.index("<b>2</b> diverged"), "as in the report"
    assert "<b>9</b> done" in page and "<b>2</b> diverged" in page and "failed</span>" not in page
    assert 'href="a%20b%26c/results.csv"' in page
    assert "report.md" not in page  # links lead to files that exist


def test_the_newest_result_comes_first_and_equal_times_are_sorted_by_name(tmp_path: Path) -> None:
    add_study(tmp_path, "old", generated="2025-12-31 23:59:59")
    add_study(tmp_path, "b")
    add_study(tmp_path, "a")
    add_study(tmp_path, "without_runs", generated="")
    page = write_index(tmp_path).read_text("utf-8")
    positions = [page.index(f'href="{name}/report.html') for name in
                 ("a", "b", "old", "without_runs")]  # fmt: skip
    assert positions == sorted(positions)


@pytest.mark.parametrize("text", ["", '{"study": '])
def test_a_summary_that_was_cut_off_does_not_hide_the_others(tmp_path: Path, text: str) -> None:
    add_study(tmp_path, "a")
    (add_study(tmp_path, "b") / "report.json").write_text(text)
    (add_study(tmp_path, "c") / "report.html").unlink()
    page = write_index(tmp_path).read_text("utf-8")
    assert 'href="a/report.html"' in page
    assert "b/report.html" not in page and "c/report.html" not in page


def test_a_folder_without_reports_says_how_to_write_one(tmp_path: Path) -> None:
    assert "python -m lmlab.report" in write_index(tmp_path).read_text("utf-8")


def test_the_summary_leaves_out_curves_and_samples(tmp_path: Path) -> None:
    text = (add_study(tmp_path, "a") / "report.json").read_text("utf-8")
    assert "curves" not in text and "samples" not in text
