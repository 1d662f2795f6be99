"""The whole analysis of a ladder of several arms, on the axis of compute and that of seconds."""

from __future__ import annotations

import dataclasses
import math

import pytest
from small_ladders import a_ladder, gained, law

from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.scaling import analyse_ladder, forecast_rung

CURVES = {"base": law, "better": gained(0.3), "same": law, "far": gained(math.log(250))}
LADDER = a_ladder(CURVES, seeds=3, sd=0.003)


def with_other_seeds(ladder: LadderLosses, arm: str) -> LadderLosses:
    rows = [{seed + 100: loss for seed, loss in row.items()} for row in ladder.losses[arm]]
    return dataclasses.replace(ladder, losses={**ladder.losses, arm: rows})


def test_every_arm_but_the_baseline_has_gains_and_a_verdict_where_there_is_a_trend() -> None:
    found = analyse_ladder(with_other_seeds(LADDER, "same"), "base", replicate="same")
    assert list(found.gains) == ["better", "same", "far"]
    assert all(len(gains) == 5 for gains in found.gains.values())
    assert found.verdicts["better"].label == "holds"
    assert found.verdicts["better"].level == pytest.approx(0.1)  # one hypothesis: not the replicate
    assert all(gain.bound == "at least" for gain in found.gains["far"])
    assert "far" not in found.trends
    assert set(found.free) == set(found.misfit) == set(CURVES)
    assert found.shared.exponent.shape == (4,)
    assert all(gain.low < 0 < gain.high for gain in found.gains["same"][1:])


def test_an_arm_without_effect_is_called_nothing_where_losses_do_not_fall() -> None:
    for rungs, curve in ((5, lambda cost: 3.0), (4, lambda cost: 3.0 + 1e-14 * cost)):
        claims = 0
        for seed in range(20):
            ladder = a_ladder({"arm": curve, "base": curve}, rungs=rungs, sd=0.005, seed=seed)
            found = analyse_ladder(ladder, "base")
            assert set(found.trends) == set(found.verdicts)
            assert not (ladder.rises and found.trends)
            claims += bool(found.verdicts)
        assert claims <= 2


def test_gains_in_seconds_are_those_of_compute_over_the_slowdown() -> None:
    slow = {**LADDER.cost, "better": [1.2 * cost for cost in LADDER.cost["better"]]}
    compute = analyse_ladder(LADDER, "base")
    seconds = analyse_ladder(dataclasses.replace(LADDER, cost=slow), "base")
    for one, other in zip(compute.gains["better"], seconds.gains["better"], strict=True):
        assert other.log_gain == pytest.approx(one.log_gain - math.log(1.2), abs=0.02)


def test_a_family_announced_counts_arms_without_a_trend() -> None:
    assert analyse_ladder(LADDER, "base", family=3).verdicts["better"].level == pytest.approx(
        0.1 / 3
    )


def test_the_top_rung_is_forecast_from_those_below() -> None:
    below = analyse_ladder(LADDER.first(4), "base")
    cost = {arm: row[-1] for arm, row in LADDER.cost.items()}
    forecast = forecast_rung(below, cost, seeds=3)
    assert set(forecast.losses) == set(CURVES)
    for arm, top in zip(LADDER.arms, LADDER.mean[:, -1], strict=True):
        one = forecast.losses[arm]
        assert abs(one.value - top) < one.high - one.low  # nine tenths are within half of that
    assert forecast.log_gains["better"].contains(0.3)
    with pytest.raises(ValueError, match="times the last rung"):
        forecast_rung(below, {arm: 100 * one for arm, one in cost.items()}, seeds=3)


def test_two_rungs_forecast_nothing() -> None:
    cost = {arm: row[2] for arm, row in LADDER.cost.items()}
    below = analyse_ladder(LADDER.first(2), "base")
    with pytest.raises(ValueError, match="a forecast from 2 rungs: expected 3 or more"):
        forecast_rung(below, cost, seeds=3)
    assert set(forecast_rung(analyse_ladder(LADDER.first(3), "base"), cost, 3).losses) == set(
        CURVES
    )
