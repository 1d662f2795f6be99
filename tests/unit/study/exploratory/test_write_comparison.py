"""The files of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

from found_runs import write_found_runs

from lmlab.study.exploratory.write_comparison import Choices, compare_runs, write_comparison

A = {0: 3.00, 1: 3.02, 2: 2.99, 3: 3.01}
B = {0: 2.90, 1: 2.93, 2: 2.88, 3: 2.91}
POST = ["model.norm=post"]


def test_files_hold_the_comparison(tmp_path: Path) -> None:
    a, b = write_found_runs(tmp_path, "a<u>", A), write_found_runs(tmp_path, "b", B, POST)
    content = compare_runs(a, b, Choices())
    lines = write_comparison(content)
    target = tmp_path / "comparisons" / "b-against-a-u-"
    assert lines[-1] == f"comparison: {target / 'comparison.html'}"
    names = {path.name for path in target.iterdir()}
    assert {"comparison.html", "comparison.md", "comparison.json", "curves.png",
            "verdicts.png"} <= names  # fmt: skip
    page, text = ((target / f"comparison.{kind}").read_text("utf-8") for kind in ("html", "md"))
    assert json.loads((target / "comparison.json").read_text("utf-8"))["verdict"] == "better"
    for found in (page, text):
        assert "Exploratory verdict: better" in found and "<u>" not in found
        assert "PostRMSNorm" in found and "Each group has its configured learning rate" in found
    assert page.count("<svg") == 2 and "![curves](curves.png)" in text
    before = {path: path.read_bytes() for path in target.iterdir()}
    write_comparison(compare_runs(a, b, Choices()))
    assert before == {path: path.read_bytes() for path in target.iterdir()}
