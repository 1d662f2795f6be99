"""The tables of an isoFLOP study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.study.ladder_report.search_figure import draw_searches
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from tests.support.isoflop_folders import SIZES, isoflop_ladder, write_isoflop


def _tables(content: dict[str, Any]) -> dict[str, Any]:
    sections = content["ladder"]["sections"]
    return {table["label"]: table for section in sections for table in section["tables"]}


def test_sizes_and_budgets_are_rows_and_columns(content: dict[str, Any]) -> None:
    tables = _tables(content)
    losses = tables["final losses: mean, standard deviation, seeds"]
    assert losses["columns"][:3] == ["size", "parameters", "r1: 4.0e11 FLOPs"]
    assert losses["rows"][0][:2] == ["n12500", "12,500"] and " (3)" in losses["rows"][0][2]
    assert tables["training tokens"]["rows"][0][2] == "5,333,333"
    best = tables["best size of each budget"]["rows"]
    assert [row[0] for row in best] == ["r1", "r2", "r3", "r4"]
    assert [row[0] for row in tables["power laws in the compute"]["rows"]] == [
        "parameters N*", "tokens D*",
    ]  # fmt: skip
    assert tables["power law of the loss there"]["rows"][0][0] == "loss"


def test_what_is_off_its_budget_is_in_parentheses_with_the_reason(edges: dict[str, Any]) -> None:
    losses = _tables(edges)["final losses: mean, standard deviation, seeds"]
    assert losses["rows"][0][2].startswith("(") and not losses["rows"][0][3].startswith("(")
    (section,) = [one for one in edges["ladder"]["sections"] if one["id"] == "losses"]
    assert any("r1-n12500: its whole steps give 1.3 times" in note for note in section["notes"])
    assert _tables(edges)["best size of each budget"]["rows"][2][2] == f"at least {SIZES[3]:,}"


def test_searched_rates_have_a_table_and_a_cost(tmp_path: Path) -> None:
    ladder = isoflop_ladder(SIZES[1:5], 2, lr="search")
    content = build_content(load_study(write_isoflop(tmp_path, ladder)))
    tables = _tables(content)
    assert tables["peak learning rates by budget"]["rows"][0][0] == f"n{SIZES[1]}"
    assert tables["what the runs were for"]["rows"][0][0] == "search for rates"
    assert draw_searches(content) is not None
    assert content["ladder"]["sections"][-1]["figures"] == ["searches"]
