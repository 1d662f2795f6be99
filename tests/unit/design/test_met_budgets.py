"""Sizes whose whole steps miss their budget."""

from __future__ import annotations

import dataclasses

import pytest

from lmlab.design.met_budgets import budget_of, off_budget
from tests.support.ladders import some_rungs


def test_a_size_may_be_five_percent_off() -> None:
    flops = {"a": 1.04e9, "b": 1.06e9, "c": 0.96e9, "d": 0.94e9}
    assert off_budget(flops, 1e9) == pytest.approx({"b": 1.06, "d": 0.94})


def test_the_declared_budget_counts_and_the_last_override_wins() -> None:
    rung = some_rungs()[0]
    declared = dataclasses.replace(rung, overrides=("training.flops=1e9", "training.flops=2e9"))
    flops = {"a": 1.0, "b": 3.0, "c": 100.0}
    assert budget_of(declared, flops) == 2e9
    assert budget_of(rung, flops) == 3.0
