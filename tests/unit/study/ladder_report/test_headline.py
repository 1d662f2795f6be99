"""The headline says what is known, what is missing, and what to doubt."""

from __future__ import annotations

from typing import Any

from lmlab.study.ladder_report.headline import contains_one
from lmlab.study.ladder_report.ladder_content import build_ladder
from lmlab.study.ladder_report.ladder_study import LadderStudy


def headline(found: LadderStudy) -> list[str]:
    lines: list[str] = build_ladder(found)["headline"]
    return lines


def test_a_finished_ladder_says_the_gain_and_how_it_changes(fixed: LadderStudy) -> None:
    scope, new, again, *rest = headline(fixed)
    assert "below 1, the arm is worse" in scope and "1.0e10 to 1.0e13 FLOPs (r1 to r4)" in scope
    assert new.startswith("new: the gain holds; gain 1.")
    assert "at r4; it changes by a factor of" in new and new.endswith("per tenfold compute.")
    assert again.startswith("Replicate (again:") and "1, the true gain, at" in again
    assert any("sealed before it started" in line for line in rest)
    assert rest[-1] == "Every run is trained at its configured learning rate."


def test_an_unfinished_ladder_says_what_it_rests_on(written: Any) -> None:
    lines = headline(written(how={"skip": lambda job: job.arm == "r4-new"}))
    assert "(r1 to r3)" in lines[0]
    assert lines[1].startswith("3 of 4 rungs are complete") and "r4 lacks 3" in lines[1]
    assert " at r3; " in lines[2]


def test_a_ladder_without_results_says_so(written: Any) -> None:
    lines = headline(written(how={"skip": lambda job: True}))
    assert lines[0].startswith("No rung is complete: r1 lacks 9 judged runs")
    assert lines[1].startswith("new: no verdict: a gain is read between rungs")


def test_a_lost_baseline_is_named_with_its_reason(written: Any) -> None:
    at = {"status": lambda job: "diverged" if job.arm == "r3-base" and job.seed else "done"}
    lines = headline(written(how=at))
    assert any(
        line.startswith(
            "The baseline, base, lacks two losses on r3 (2 of 3 runs diverged), so that"
        )
        for line in lines
    )


def test_one_arm_has_losses_and_no_gains(written: Any) -> None:
    found = written(arms={"base": []}, replicate=None)
    assert headline(found)[0] == "The ladder has one arm, so that it shows its losses and no gains."
    content = build_ladder(found)
    assert content["fits"] and content["seals"][0]["rows"] and not content["gains"]


def test_two_rungs_are_enough_for_gains(written: Any) -> None:
    lines = headline(written(2, sealed=False, how={}))
    assert lines[1].startswith("new: ") and "at r2" in lines[1]


def test_an_end_without_bound_excludes_nothing() -> None:
    assert contains_one({"low": None, "high": 1.0}) and contains_one({"low": 0.9, "high": None})
    assert not contains_one({"low": 1.01, "high": None})
    assert not contains_one({"low": None, "high": 0.99})
