"""The whole report of a factorial study, on the page and as Markdown, finished or not."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factorial_studies import FACTORS, a_factorial, a_study

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.study.csv_tables import render_effects_csv
from lmlab.study.factorial_report.factorial_content import factorial_parts
from lmlab.study.factorial_report.figures import FACTORIAL_FIGURES
from lmlab.study.markdown import render_markdown
from lmlab.study.page import render_page
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.write_records import write_compact

TWO = {name: FACTORS[name] for name in "ab"}
EVERY: list[dict[str, Any]] = [
    {},
    {"lr": "fixed"},
    {"lr": "search", "num_seeds": 1},
    {"factors": TWO},
    {"factors": {**FACTORS, "e": ["model.ffn=gelu"]}, "fraction": 2, "lr": "fixed"},
]
ENDS: dict[str, Callable[[Job], str]] = {
    "finished": lambda job: "done",
    "searching": lambda job: "done" if job.seed >= 1000 else "failed",
    "not started": lambda job: "missing",
    "diverged": lambda job: "diverged",
    "lost": lambda job: "diverged" if job.arm == "a" and job.seed == 0 else "done",
}


@pytest.mark.parametrize("changes", EVERY, ids=range(len(EVERY)))
@pytest.mark.parametrize("end", ENDS)
def test_every_state_of_every_study_has_a_report(changes: dict[str, Any], end: str) -> None:
    found = a_study(a_factorial(**changes), status=ENDS[end])
    parts = factorial_parts(found.study, {"limits": []})
    assert parts["headline"], "there is always something to say"
    assert parts["verdicts"] == []
    json.dumps(parts, allow_nan=False)
    content = {"factorial": parts["factorial"], "title": "f", "unit": "nats per token"}
    shown = {name for section in parts["sections"] for name in section["figures"]}
    for name, draw in FACTORIAL_FIGURES.items():
        for narrow in (False, True):
            figure = draw(content, narrow=narrow)
            assert figure is None or name in shown
            assert end != "finished" or figure is not None or name == "half_normal"


@pytest.fixture(scope="module")
def contents() -> list[dict[str, Any]]:
    """The real configurations of the cells of two factors."""
    return [
        compose([*own, "study=f", "logger=none", "seed=0"]).as_dict() | {"design": None}
        for own in a_factorial(factors=TWO).arms.values()
    ]


@pytest.mark.parametrize("end", ENDS)
def test_page_markdown_and_tables_agree(end: str, contents: list[dict[str, Any]]) -> None:
    found = a_study(a_factorial(factors=TWO, lr="search"), status=ENDS[end])
    manifest = dataclasses.replace(found.manifest, arms=contents)
    content = build_content(dataclasses.replace(found.study, manifest=manifest))
    page, text = render_page(content), render_markdown(content, ["effects.png"])
    for line in content["headline"]:
        assert line in html.unescape(page)
        assert line[:30] in text
    for section in content["sections"]:
        assert section["heading"] in page and f"## {section['heading']}" in text
    rows = list(csv.DictReader(io.StringIO(render_effects_csv(content["factorial"]))))
    assert [row["effect"] for row in rows] == [
        row["name"] for row in content["factorial"]["effects"]
    ]
    if end == "finished":
        assert rows[0]["verdict"] == "better" and float(rows[0]["adjusted_p"]) < 0.05
        assert "![effects](effects.png)" in text and "## Verdicts" not in text


def test_compact_records_give_the_same_report(
    contents: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = a_study(a_factorial(factors=TWO, lr="search"))
    manifest = dataclasses.replace(found.manifest, arms=contents)
    study = dataclasses.replace(found.study, manifest=manifest)
    write_compact(study, tmp_path)
    again = build_content(load_study(tmp_path))
    assert again["factorial"] == build_content(study)["factorial"]
