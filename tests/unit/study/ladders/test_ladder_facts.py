"""What the results of a ladder establish, finished or not."""

from __future__ import annotations

import math

import pytest

from lmlab.design.job import Job
from lmlab.design.search import TrialOutcome
from lmlab.study.ladders.ladder_facts import LadderFacts, ladder_facts
from tests.support.ladders import (
    a_ladder,
    a_ladder_manifest,
    finish_ladder,
    power_law,
    some_rungs,
)

RUNGS = some_rungs()


def facts_of(num_open: int | None = None, **changes: object) -> LadderFacts:
    manifest = a_ladder_manifest(a_ladder(**changes))
    return ladder_facts(manifest, finish_ladder(manifest, num_open=num_open), {})


def test_a_known_gain_is_found_at_every_rung() -> None:
    result = facts_of(num_seeds=5, replicate="again").analyse()
    assert result is not None
    for gain in result.gains["new"]:
        assert gain.low < math.log(1.5) < gain.high
    for gain in result.gains["again"]:
        assert gain.low < 0 < gain.high
    assert result.verdicts["new"].label == "holds"


def test_an_unfinished_ladder_is_analysed_as_far_as_all_arms_are_complete() -> None:
    facts = facts_of(num_open=3)
    assert facts.num_complete == 3
    result = facts.analyse()
    assert result is not None and result.ladder.num_rungs == 3
    manifest = facts.manifest
    one_missing = {
        job: one for job, one in facts.outcomes.items() if job != Job("r2-new", 0.003, 1)
    }
    assert ladder_facts(manifest, one_missing, {}).num_complete == 1
    assert ladder_facts(manifest, one_missing, {}).analyse() is None, "one rung shows no trend"


def test_an_arm_that_diverges_is_left_out_and_named() -> None:
    facts = facts_of(replicate="again")
    lost = {Job("r3-new", 0.003, seed): TrialOutcome("diverged") for seed in range(2)}
    facts = ladder_facts(facts.manifest, {**facts.outcomes, **lost}, {})
    assert facts.lost_arms(4) == {"new": [2]}
    assert facts.cells["new"][2].num_lost == 2
    result = facts.analyse()
    assert result is not None and list(result.gains) == ["again"]
    base = {Job("r1-base", 0.003, seed): TrialOutcome("diverged") for seed in range(3)}
    assert ladder_facts(facts.manifest, {**facts.outcomes, **base}, {}).analyse() is None


def test_costs_come_from_the_arms_where_they_are_known() -> None:
    manifest = a_ladder_manifest(a_ladder(replicate="again"))
    costs = {"r2-new": {"flops": 10.0, "tokens": 7.0}, "r1-base": {"flops": 2.0, "tokens": 3.0}}
    flops = ladder_facts(manifest, {}, costs).flops
    assert flops["new"] == [RUNGS[0].flops, 210.0, RUNGS[2].flops, RUNGS[3].flops]
    assert flops["again"][0] == flops["base"][0] == 18.0, "the replicate costs what it repeats"


def test_a_known_entropy_bounds_the_asymptote() -> None:
    result = facts_of(entropy=1.4).analyse()
    assert result is not None and result.shared.asymptote >= 1.4


def test_wall_clock_is_another_axis() -> None:
    facts = facts_of()
    seconds = {arm: [1.0, 8.0, 70.0, 600.0] for arm in facts.cells}
    result = facts.analyse(costs=seconds)
    assert result is not None
    assert result.ladder.cost["new"] == pytest.approx(seconds["new"])
    assert facts.analyse(costs={arm: [1.0, 8.0, 7.0, 9.0] for arm in facts.cells}) is None


@pytest.mark.parametrize("rung", [0, 1])
def test_an_arm_without_a_rate_to_transfer_does_not_hold_up_the_ladder(rung: int) -> None:
    manifest = a_ladder_manifest(a_ladder(lr="transfer", num_seeds=2, replicate="again"))

    def loss(at: int, arm: str, rate: float, seed: int) -> float:
        return math.nan if arm == "new" and at == rung else power_law(at, arm, rate, seed)

    facts = ladder_facts(manifest, finish_ladder(manifest, loss), {})
    assert facts.num_complete == 4
    assert [cell.is_untrainable for cell in facts.cells["new"]][2:] == [True, True]
    result = facts.analyse()
    assert result is not None and list(result.gains) == ["again"]
