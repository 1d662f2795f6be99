"""What a report reads of a ladder: which rungs count, training times, and who shared a machine."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lmlab.study.ladder_report.ladder_study import LadderStudy, num_sharing, rung_study
from lmlab.study.run_records import RunRecord


def test_seconds_are_means_over_the_judged_runs(fixed: LadderStudy) -> None:
    assert fixed.seconds["base"] == pytest.approx([2.0, 10.0, 50.0, 250.0])
    assert fixed.seconds["new"] == pytest.approx([2.6, 13.0, 65.0, 325.0])
    assert fixed.timed is not None and fixed.result is not None
    assert fixed.timed.gains["new"][2].gain < fixed.result.gains["new"][2].gain, "new is slower"


def test_only_judged_runs_at_the_rate_of_their_cell_count(transfer: LadderStudy) -> None:
    for cell, records in transfer.records.items():
        assert len(records) == 3, cell
        assert {record.job.lr for record in records} == {
            transfer.facts.cells[transfer.ladder.cells[cell][1]][
                transfer.ladder.cells[cell][0]
            ].rate
        }


def test_statistics_end_below_a_rung_on_which_the_baseline_has_no_losses(written: Any) -> None:
    lost = {"status": lambda job: "diverged" if job.arm == "r4-base" and job.seed < 2 else "done"}
    found = written(how=lost)
    assert found.facts.num_complete == 4 and found.num_analysed == 3
    assert found.result is not None and found.result.ladder.num_rungs == 3
    assert found.result.gains["new"][1].low > 0
    assert found.lost_arms == {}


def test_a_rung_is_a_study_of_one_size(fixed: LadderStudy) -> None:
    rung = rung_study(fixed.study, 1)
    assert rung.manifest is not None and rung.manifest.comparison is not None
    assert {record.job.arm for record in rung.records} == {"r2-base", "r2-new", "r2-again"}
    assert set(rung.arm_costs) == {"r2-base", "r2-new"}


def _record(fixed: LadderStudy, start: str, end: str) -> RunRecord:
    record = fixed.study.records[0]
    return dataclasses.replace(record, started=start, status=record.status | {"time": end})


def test_runs_that_overlap_in_time_share_the_machine(fixed: LadderStudy) -> None:
    first, second, later, unknown = (
        _record(fixed, "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z"),
        _record(fixed, "2026-01-01T00:09:00Z", "2026-01-01T00:20:00Z"),
        _record(fixed, "2026-01-01T00:20:00Z", "2026-01-01T00:30:00Z"),
        _record(fixed, "", "2026-01-01T00:30:00Z"),
    )
    everyone = [later, first, unknown, second]
    assert num_sharing(everyone, everyone) == 2, "a run that starts as another ends shares nothing"
    assert num_sharing([later, unknown], everyone) == 0
    assert num_sharing([first], everyone) == 1
