"""Verdicts read as sentences, and an arm without one has a reason."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.verdict_rows import advice, verdict_rows, verdict_sentence
from lmlab.study.ladders.gain_trend import Contrast
from lmlab.study.ladders.ladder_verdict import LadderVerdict
from tests.support.ladders import power_law


def verdict(label: str, first: float, last: float, **advice: Any) -> LadderVerdict:
    ends = [Contrast(value, 0.01, 9.0) for value in (first, last, last - first)]
    p = min(1.0, 2 * min(ends[0].p, ends[1].p))
    return LadderVerdict(label, *ends, p=p, adjusted_p=2 * p, level=0.1, **advice)


@pytest.mark.parametrize(
    ("label", "first", "last", "sentence"),
    [
        ("holds", 0.3, 0.3, "the gain holds"),
        ("grows", -0.1, -0.4, "the disadvantage grows"),
        ("shrinks", 0.4, 0.1, "the gain shrinks"),
        ("vanishes", -0.4, 0.01, "the disadvantage vanishes"),
        ("reverses", 0.3, -0.3, "it reverses, from better to worse"),
        ("reverses", -0.3, 0.3, "it reverses, from worse to better"),
        ("no difference", 0.01, 0.0, "no difference"),
        ("cannot tell", 0.3, 0.2, "a gain at the highest rung; cannot tell whether it holds"),
        (
            "cannot tell",
            0.01,
            -0.2,
            "a disadvantage at the highest rung; cannot tell whether it holds",
        ),
        (
            "cannot tell",
            0.3,
            0.0,
            "a gain at the lowest rung; cannot tell whether any of it is left",
        ),
        ("cannot tell", 0.01, 0.01, "cannot tell"),
    ],
)
def test_a_verdict_names_the_side_it_is_about(
    label: str, first: float, last: float, sentence: str
) -> None:
    assert verdict_sentence(verdict(label, first, last)) == sentence


def test_what_would_decide_is_said_only_where_nothing_is_decided(fixed: LadderStudy) -> None:
    unsure = verdict("cannot tell", 0.1, 0.1, rung_cost=3e12, more_seeds=1)
    assert advice(unsure, fixed.ladder) == (
        "a rung at about 3.0e12 FLOPs or 1 more seed per rung would probably decide"
    )
    assert "neither a rung at up to 12 times" in advice(
        verdict("cannot tell", 0.1, 0.1), fixed.ladder
    )
    assert advice(verdict("holds", 0.1, 0.1, rung_cost=3e12), fixed.ladder) == ""


def test_a_finished_ladder_has_a_row_for_each_compared_arm(fixed: LadderStudy) -> None:
    new, again = verdict_rows(fixed)
    assert new["sentence"] == "the gain holds" and new["adjusted_p"] < 0.1
    assert again["is_replicate"] and again["verdict"] in ("no difference", "cannot tell")


def test_an_arm_that_was_lost_says_where_and_why(written: Any) -> None:
    lost = {"status": lambda job: "diverged" if job.arm == "r3-new" and job.seed < 2 else "done"}
    new, _ = verdict_rows(written(how=lost))
    assert new["verdict"] == "no verdict"
    assert new["advice"] == "r3: 2 of 3 runs diverged"


def test_an_arm_whose_loss_does_not_fall_says_where(written: Any) -> None:
    def loss(rung: int, arm: str, rate: float, seed: int) -> float:
        return power_law(2 if arm == "new" and rung == 3 else rung, arm, rate, seed)

    new, again = verdict_rows(written(how={"loss": loss}))
    assert new["verdict"] == "no verdict"
    assert new["advice"] == "the mean loss of new does not fall from r3 to r4"
    assert again["verdict"] != "no verdict"


def test_a_ladder_with_one_complete_rung_has_no_verdicts(written: Any) -> None:
    rows = verdict_rows(written(how={"skip": lambda job: job.arm.startswith("r2")}))
    assert {row["verdict"] for row in rows} == {"no verdict"}
    assert "two complete ones are needed" in rows[0]["advice"]
