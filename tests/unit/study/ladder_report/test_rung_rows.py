"""Rungs with their sizes, and what an unfinished ladder lacks."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.rung_rows import progress_line, rung_rows


def test_rows_hold_the_sizes_of_the_baseline(fixed: LadderStudy) -> None:
    rows = rung_rows(fixed)
    assert [row["name"] for row in rows] == ["r1", "r2", "r3", "r4"]
    assert rows[1]["tokens"] == 600_000 and rows[1]["passes"] == pytest.approx(0.015)
    assert rows[1]["steps"] * rows[1]["batch"] * 32 <= 600_000 < (rows[1]["steps"] + 1) * 16 * 32
    assert progress_line(fixed) == ""


def test_what_is_missing_is_counted_by_rung(written: Any) -> None:
    found = written(how={"skip": lambda job: job.arm == "r3-new" and job.seed})
    assert progress_line(found) == (
        "2 of 4 rungs are complete, and what is said rests on these: r3 lacks 2 judged runs, "
        "r4 lacks 9 judged runs."
    )
