"""Updates that runs took over, and how a study states them."""

from __future__ import annotations

from typing import Any

from lmlab.design.job import Job
from lmlab.study.run_records import RunRecord
from lmlab.study.shared_updates import TakenOver, recorded_start, shared_note, taken_over


def record(meta: dict[str, Any], **status: Any) -> RunRecord:
    return RunRecord(
        job=Job(arm="a", lr=0.1, seed=0), purposes=(), folder="a", status=status, meta=meta,
        validation=[], train=[], samples="",
    )  # fmt: skip


STARTED = {"taken_over": {"updates": 30, "seconds": 4.5}, "forward_flops_per_token": 7}


def test_tokens_and_flops_are_those_of_the_share_of_updates() -> None:
    """30 of 120 updates are a quarter of 1,000 tokens; training costs three forward passes."""
    found = taken_over(record(STARTED, step=120, tokens=1000))
    assert found == TakenOver(updates=30, tokens=250.0, seconds=4.5, flops=3 * 7 * 250)


def test_a_run_that_trained_all_its_updates_or_none_took_over_nothing() -> None:
    for meta, status in (({}, {"step": 120, "tokens": 1000}), (STARTED, {})):
        assert taken_over(record(meta, **status)) == TakenOver()


def test_earlier_versions_record_the_start_in_the_first_session() -> None:
    sessions = [{"from_step": 50, "from_seconds": 9.0}, {"from_step": 20, "from_seconds": 3.0}]
    meta = {"parent": "b", "sessions": sessions}
    assert recorded_start(meta) == {"updates": 20, "seconds": 3.0}
    assert recorded_start(meta | {"parent": None}) == {}, "a resumed run took over nothing"
    assert recorded_start({"parent": "b", "sessions": [{"from_step": 0}, *sessions]}) == {}
    assert recorded_start(meta | {"taken_over": {"updates": 1, "seconds": 2.0}})["updates"] == 1


def test_the_note_adds_up_all_runs_and_is_empty_without_any() -> None:
    records = [record(STARTED, step=120, tokens=1000), record(STARTED, step=60, tokens=1000)]
    assert shared_note([record({}, step=5, tokens=10)]) == ""
    assert shared_note([*records, record({}, step=5, tokens=10)]) == (
        "2 runs started from a checkpoint of another: 60 updates (1.6e+04 FLOPs) were not trained "
        "again"
    )
