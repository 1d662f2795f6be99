"""Sections and tables of a factorial study's report."""

from __future__ import annotations

from typing import Any

from factorial_studies import FACTORS, a_factorial, a_loss, a_study

from lmlab.study.factorial_report.factorial_content import build_factorial


def sections(**changes: Any) -> dict[str, dict[str, Any]]:
    loss = a_loss(lambda on: 3 - 0.2 * (list(on) == ["a"]))
    content = build_factorial(a_study(a_factorial(**changes), loss))
    return {one["id"]: one for one in content["sections"]}


def test_a_finished_study_has_all_sections_with_tables_that_fit_their_columns() -> None:
    found = sections()
    assert list(found) == [
        "effects", "interactions", "one-at-a-time", "cells", "half-normal", "rates-of-cells",
    ]  # fmt: skip
    for section in found.values():
        for table in section["tables"]:
            assert all(len(row) == len(table["columns"]) for row in table["rows"])
            assert all(isinstance(cell, str) for row in table["rows"] for cell in row)
    main, pairs = found["effects"]["tables"]
    assert [row[0] for row in main["rows"]] == ["a", "b", "c", "d"]
    assert len(pairs["rows"]) == 6
    assert "aliases" not in main["columns"]


def test_the_check_marks_the_predicted_rate() -> None:
    rates = sections()["rates-of-cells"]["tables"]
    assert [row[2] for row in rates[1]["rows"]] == ["", "predicted", ""]


def test_a_fraction_has_a_column_of_aliases_and_no_table_of_single_parts() -> None:
    five = {**FACTORS, "e": ["model.ffn=gelu"]}
    found = sections(factors=five, fraction=2, lr="fixed")
    assert "aliases" in found["effects"]["tables"][0]["columns"]
    assert "one-at-a-time" not in found and "rates-of-cells" not in found


def test_many_seeds_are_shown_as_a_range() -> None:
    table = sections(num_seeds=13, lr="fixed")["effects"]["tables"][0]
    assert " to " in table["rows"][0][5] and "," not in table["rows"][0][5]
