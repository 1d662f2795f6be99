"""Cells as plain values, and what one part at a time would have said."""

from __future__ import annotations

import pytest
from factorial_studies import FACTORS, a_factorial, a_loss, a_study

from lmlab.study.factorial_report.cell_rows import cell_rows, kept_sum, single_rows


def test_cells_are_in_the_order_of_their_losses_with_the_origin_of_their_rates() -> None:
    rows = cell_rows(a_study(a_factorial()))
    assert len(rows) == 16
    means = [row["mean"] for row in rows]
    assert means == sorted(means)
    origins = {row["cell"]: row["origin"] for row in rows}
    assert origins["baseline"] == origins["a-b"] == "searched"
    assert origins["a"] == "predicted"
    by_cell = {row["cell"]: row for row in rows}
    assert by_cell["a"]["difference"] == pytest.approx(-0.2, abs=0.01)
    assert by_cell["baseline"]["is_baseline"] and by_cell["baseline"]["difference"] == 0


def test_cells_without_losses_come_last_with_the_reason() -> None:
    found = a_study(
        a_factorial(lr="search"), status=lambda job: "diverged" if job.arm == "b" else "done"
    )
    last = cell_rows(found)[-1]
    assert last["cell"] == "b" and last["is_untrainable"] and last["mean"] is None


def test_each_factor_alone_on_average_and_beside_all_others() -> None:
    rows = {row["factor"]: row for row in single_rows(a_study(a_factorial()))}
    assert rows["a"]["alone"] == pytest.approx(-0.2, abs=0.01)
    assert rows["a"]["average"] == pytest.approx(-0.1, abs=0.01)
    assert rows["a"]["beside_all"] == pytest.approx(0.0, abs=0.01)
    assert rows["a"]["verdict"] == "better" and rows["a"]["is_kept"]
    assert not rows["d"]["is_kept"]


def test_two_parts_that_do_the_same_give_less_than_they_promise() -> None:
    found = kept_sum(a_study(a_factorial()))
    assert found is not None and found["factors"] == ["a", "b"]
    assert found["promised"][0] == pytest.approx(-0.4, abs=0.02)
    assert found["given"][0] == pytest.approx(-0.2, abs=0.02)
    assert found["gap"][1] <= found["gap"][0] <= found["gap"][2]
    assert found["gap"][0] == pytest.approx(0.2, abs=0.02)


def test_one_part_or_a_fraction_makes_no_sum() -> None:
    assert kept_sum(a_study(a_factorial(), a_loss(lambda on: 3 - 0.2 * ("a" in on)))) is None
    five = {**FACTORS, "e": ["model.ffn=gelu"]}
    found = a_study(a_factorial(factors=five, fraction=2, lr="fixed"))
    assert single_rows(found) == [] and kept_sum(found) is None
