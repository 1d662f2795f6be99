"""What each change is worth, and the sum of the parts against the whole."""

from __future__ import annotations

import math

import pytest
from scipy import stats
from stack_studies import MEANS, a_stack, stack_study

from lmlab.study.stack_report.stack_study import EARNS, HARMS, IDLE


def test_a_change_without_which_the_loss_rises_earns_its_place() -> None:
    found = stack_study()
    assert {name: found.label(name) for name in "abc"} == {"a": EARNS, "b": IDLE, "c": IDLE}
    harmful = stack_study(means=MEANS | {"without-b": 2.9})
    assert harmful.label("b") == HARMS


def test_sum_whole_and_gap_are_taken_within_each_seed() -> None:
    found = stack_study()
    sums = found.sums()
    assert sums is not None
    parts, whole, gap = sums
    assert parts.difference == pytest.approx(0.2, abs=0.01)
    assert whole.difference == pytest.approx(0.3, abs=0.01)
    gaps = [a - b for a, b in zip(found.parts, found.whole, strict=True)]
    assert gap.difference == pytest.approx(sum(gaps) / 5)
    expected = stats.t.interval(0.95, 4, gap.difference, stats.tstd(gaps) / math.sqrt(5))
    assert gap.interval(0.05) == pytest.approx(expected)
    assert gap.interval(0.05)[1] < 0


def test_changes_without_which_training_diverges_earn_their_place_but_leave_no_sum() -> None:
    found = stack_study(status=lambda job: "diverged" if job.arm == "without-a" else "done")
    assert found.label("a") == EARNS
    assert found.lost_arms == ["without-a"] and found.sums() is None
    one_seed = stack_study(
        status=lambda job: "diverged" if job.arm == "without-b" and job.seed == 2 else "done"
    )
    assert len(one_seed.seeds) == 4 and one_seed.sums() is None, "the others are a selection"


def test_unfinished_studies_use_the_seeds_that_all_arms_have() -> None:
    found = stack_study(
        status=lambda job: "running" if job.arm == "plain" and job.seed == 3 else "done"
    )
    assert found.seeds == [0, 1, 2, 4] and len(found.whole) == 4
    nothing = stack_study(status=lambda job: "missing")
    assert nothing.sums() is None and nothing.label("a") == "missing"


def test_one_seed_has_no_sum() -> None:
    assert stack_study(a_stack(num_seeds=1)).sums() is None
