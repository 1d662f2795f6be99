"""Rates with their origin, what a transferred one costs, and what finding them took."""

from __future__ import annotations

import math

import pytest

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.rate_rows import rate_rows, regret_rows, spent_rows

OPTIMUM = 3e-3  # of the simulated losses, at every size; 0.02 nats per squared factor of e


def test_rates_say_where_they_come_from(transfer: LadderStudy) -> None:
    base, new = rate_rows(transfer)
    assert [one["origin"] for one in base["rungs"]] == ["searched"] * 2 + ["transferred"] * 2
    assert new["drift"]["low"] < 1 < new["drift"]["high"], "the optimum does not move"
    assert new["law"]["rate"][0] == pytest.approx(new["rungs"][0]["rate"], rel=1e-3)
    assert new["law"]["rate"][3] == pytest.approx(new["rungs"][3]["rate"], rel=1e-2)


def test_regret_is_the_loss_at_the_rate_above_that_at_the_best(transfer: LadderStudy) -> None:
    rows = regret_rows(transfer)
    brackets = [row for row in rows if row["evidence"] == "bracket"]
    assert [row["arm"] for row in brackets] == ["base", "new"]
    for row in brackets:
        true = 0.02 * math.log(row["rate"] / OPTIMUM) ** 2
        assert row["low"] <= true + 0.003 and row["high"] >= true - 0.003
        assert row["nats"] >= 0


def test_configured_rates_cost_nothing_to_find(fixed: LadderStudy) -> None:
    assert regret_rows(fixed) == []
    (row,) = rate_rows(fixed)[:1]
    assert row["drift"] is None and row["law"] is None
    assert {one["origin"] for one in row["rungs"]} == {"configured"}
    assert [one["purpose"] for one in spent_rows(fixed)] == ["judged"]


def test_every_run_is_counted_once_in_what_was_spent(transfer: LadderStudy) -> None:
    rows = spent_rows(transfer)
    assert sum(row["runs"] for row in rows) == len(transfer.study.records)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    judged = next(row for row in rows if row["purpose"] == "judged")
    per_seed = sum(sum(flops) for flops in transfer.facts.flops.values())
    assert judged["flops"] == pytest.approx(3 * per_seed)
