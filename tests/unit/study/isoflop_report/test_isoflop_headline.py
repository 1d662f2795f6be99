"""The headline names the best size of each budget, its bound, and how it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from tests.support.isoflop_folders import SIZES, isoflop_ladder, write_isoflop


def test_a_finished_study_says_sizes_laws_and_losses(content: dict[str, Any]) -> None:
    lines = content["headline"]
    assert lines[0].startswith("Best size at 4.0e11 FLOPs (r1): ")
    assert " parameters (90% interval " in lines[0] and "tokens per parameter (" in lines[0]
    assert len([line for line in lines if line.startswith("Best size at")]) == 4
    assert "From 4.0e11 to 2.6e13 FLOPs" in lines[4] and "C^a, a = 0.4" in lines[4]
    assert "per tenfold compute, 2." in lines[4] and "tokens per parameter go from" in lines[4]
    assert lines[5].startswith("The loss at the best size is E + A (C / 4.0e11)^-c with E = 1.")
    assert lines[6] == "Every run is trained at its configured learning rate."


def test_an_unfinished_study_says_what_it_rests_on(edges: dict[str, Any]) -> None:
    lines = edges["headline"]
    assert lines[0].startswith("3 of 4 budgets are complete, and what is said rests on these: r4")
    assert f"at least {SIZES[3]:,} parameters, the largest size, on at most" in lines[3]


def test_one_complete_budget_has_a_best_size_and_no_law(tmp_path: Path) -> None:
    folder = write_isoflop(tmp_path, skip=lambda job: not job.arm.startswith("r1"))
    lines = build_content(load_study(folder))["headline"]
    assert lines[0].startswith("1 of 4 budgets are complete")
    assert lines[1].startswith("Best size at 4.0e11 FLOPs (r1): ") and "; loss 4.6" in lines[1]
    assert lines[2] == (
        "No power law: it takes two budgets whose best size is between the sizes, and there is 1."
    )


@pytest.mark.parametrize("skip", [True, False], ids=["nothing trained", "all failed"])
def test_a_study_without_losses_says_so(tmp_path: Path, skip: bool) -> None:
    folder = write_isoflop(
        tmp_path, isoflop_ladder(SIZES[:3], 2), skip=lambda job: skip,
        status=lambda job: "diverged",
    )  # fmt: skip
    lines = build_content(load_study(folder))["headline"]
    start = "No budget is complete: r1" if skip else "r1 has no best size: 0 sizes have a place"
    assert lines[0].startswith(start)
