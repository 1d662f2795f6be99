"""Unfair comparisons are refused, with what would mend them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from designs import a_design

from lmlab.design.fairness import ArmCosts, check, find_differences, table
from lmlab.errors import ConfigError

BASE = ArmCosts(
    parameters=100_000, flops=200_000, tokens=64_000, steps=1000, batch_size=4, context=16,
    evaluation=512, evaluations=11, data="d" * 64, tokenizer="t" * 64, d_ff=192,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "quantity", "told"),
    [
        ({"parameters": 102_000}, "parameters", "102,000, not 100,000: 2.0% apart"),
        ({"flops": 210_000}, "flops", "FLOPs a token 210,000, not 200,000"),
        ({"tokens": 64_001}, "tokens", "training tokens 64,001, not 64,000"),
        ({"steps": 500}, "batches", "500 x 4, not 1000 x 4"),
        ({"context": 32}, "context", "context 32, not 16"),
        ({"evaluation": 500}, "evaluation", "evaluation tokens 500, not 512"),
        ({"data": "e" * 64}, "data", "data eeeeeeee, not dddddddd"),
        ({"tokenizer": "u" * 64}, "tokenizer", "tokenizer uuuuuuuu, not tttttttt"),
    ],
)
def test_each_quantity_is_refused_or_allowed(
    change: dict[str, Any], quantity: str, told: str
) -> None:
    facts = {"a": BASE, "b": dataclasses.replace(BASE, **change)}
    with pytest.raises(ConfigError) as caught:
        check(facts, a_design())
    assert told in str(caught.value)
    assert f"design.allow=[{quantity}]" in str(caught.value)
    (difference,) = check(facts, a_design(allow=[quantity]))
    assert (difference.arm, difference.quantity) == ("b", quantity)


def test_what_lies_within_the_tolerance_is_fair() -> None:
    facts = {"a": BASE, "b": dataclasses.replace(BASE, parameters=101_000, flops=203_000)}
    assert find_differences(facts, a_design()) == []


def test_the_width_that_would_match_is_told() -> None:
    other = dataclasses.replace(BASE, parameters=90_000, matching_d_ff=288)
    with pytest.raises(ConfigError, match=r"model\.d_ff=288 would match"):
        check({"a": BASE, "b": other}, a_design())


def test_the_table_has_a_row_an_arm() -> None:
    rows = table({"a": BASE, "b": dataclasses.replace(BASE, d_ff=None)})
    assert rows[0][:2] == ["a", "100,000"]
    assert rows[1][-1] == "-"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": {}}, "design.arms={}: accepted is at least one"),
        ({"lr": "guess"}, "design.lr=guess: accepted is search or fixed"),
        ({"lr_factor": 1.0}, "design.lr_factor"),
        ({"edge_ratio": 0.5}, "design.edge_ratio"),
        ({"num_seeds": 0}, "design.num_seeds=0"),
        ({"num_tuning_seeds": 0}, "design.num_tuning_seeds=0"),
        ({"num_seeds": 1, "extra_seeds": 2}, "a second look needs a first"),
        ({"alpha": 1.0}, "design.alpha=1.0"),
        ({"power": 0.0}, "design.power=0.0"),
        ({"margin": -1.0}, "design.margin=-1.0"),
        ({"expected_sd": 0.0}, "design.expected_sd=0.0"),
        ({"replicate": "a"}, "design.replicate=a: accepted is a new name"),
        ({"arms": {"a b": []}, "baseline": None}, "design.arms.a b: accepted as a name"),
        ({"baseline": "c"}, "design.baseline=c: accepted are a, b"),
        ({"baseline": None, "replicate": "c"}, "it needs design.baseline"),
        ({"allow": ["paramters"]}, 'did you mean "parameters"?'),
        ({"tolerance": {"flop": 0.1}}, 'did you mean "flops"?'),
    ],
)
def test_a_declaration_that_makes_no_sense(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        a_design(**changes)
    assert told in str(caught.value)
