"""Unfair comparisons are refused, with the change that would make them fair."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from designs import a_design

from lmlab.design.fairness import ArmCosts, check_fairness, cost_table, find_differences
from lmlab.errors import ConfigError

BASE = ArmCosts(
    parameters=100_000, flops=200_000, tokens=64_000, steps=1000, batch_size=4, context=16,
    evaluation=512, evaluations=11, data="d" * 64, tokenizer="t" * 64, d_ff=192,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "quantity", "message"),
    [
        ({"parameters": 102_000}, "parameters", "102,000, but 100,000 in a: 2.0% apart"),
        ({"flops": 210_000}, "flops", "FLOPs per token 210,000, but 200,000 in a"),
        ({"tokens": 64_001}, "tokens", "training tokens 64,001, but 64,000 in a"),
        ({"steps": 500}, "batches", "500 x 4, but 1,000 x 4 in a"),
        ({"context": 32}, "context", "context 32, but 16 in a"),
        ({"evaluation": 500}, "evaluation", "evaluation tokens 500, but 512 in a"),
        ({"data": "e" * 64}, "data", "data eeeeeeee, but dddddddd in a"),
        ({"tokenizer": "u" * 64}, "tokenizer", "tokenizer uuuuuuuu, but tttttttt in a"),
    ],
)
def test_a_difference_in_any_quantity_is_refused_unless_allowed(
    change: dict[str, Any], quantity: str, message: str
) -> None:
    costs = {"a": BASE, "b": dataclasses.replace(BASE, **change)}
    with pytest.raises(ConfigError) as caught:
        check_fairness(costs, a_design())
    assert message in caught.value.message
    assert caught.value.help is not None
    assert f"design.allow=[{quantity}]" in caught.value.help
    design = a_design(allow=[quantity], metric="bits_per_byte")
    (difference,) = check_fairness(costs, design)
    assert (difference.arm, difference.quantity) == ("b", quantity)


def test_losses_per_token_of_different_tokenizers_are_refused_even_where_allowed() -> None:
    costs = {"a": BASE, "b": dataclasses.replace(BASE, tokenizer="u" * 64)}
    for allow in ([], ["tokenizer"]):
        with pytest.raises(ConfigError) as caught:
            check_fairness(costs, a_design(allow=allow))
        assert "design.metric=bits_per_byte" in str(caught.value.help)
    assert check_fairness(costs, a_design(allow=["tokenizer"], metric="bits_per_byte"))
    assert check_fairness(costs, a_design(allow=["tokenizer"], baseline=None)), "no verdict"


@pytest.mark.parametrize(
    ("whole", "change", "reported"),
    [
        (False, {}, False),  # one tokenizer, one text: the number of tokens tells all
        (False, {"tokenizer": "u" * 64}, True),  # as many tokens, other text
        (True, {"tokenizer": "u" * 64, "evaluation": 900}, False),  # one text, other tokens
        (False, {"data": "e" * 64}, False),  # only the training text differs
        (False, {"data": "e" * 64, "validation": "w" * 64}, True),
    ],
)
def test_evaluations_are_equal_where_their_texts_are(
    whole: bool, change: dict[str, Any], reported: bool
) -> None:
    base = dataclasses.replace(BASE, validation="v" * 64, evaluates_all=whole)
    costs = {"a": base, "b": dataclasses.replace(base, **change)}
    found = find_differences(costs, a_design(metric="bits_per_byte"))
    assert ("evaluation" in [one.quantity for one in found]) == reported
    if reported and "validation" not in change:
        with pytest.raises(ConfigError) as caught:
            check_fairness(costs, a_design(metric="bits_per_byte"))
        assert caught.value.help is not None and "validation.max_tokens=null" in caught.value.help
        assert "design.allow=[tokenizer]" in caught.value.help


def test_a_difference_within_the_tolerance_is_fair() -> None:
    costs = {"a": BASE, "b": dataclasses.replace(BASE, parameters=101_000, flops=203_000)}
    assert find_differences(costs, a_design()) == []


def test_without_a_baseline_the_first_arm_is_the_reference() -> None:
    costs = {"a": BASE, "b": dataclasses.replace(BASE, context=32)}
    (difference,) = find_differences(costs, a_design(baseline=None))
    expected = "b: context 32, but 16 in a: 100.0% apart, above the tolerance of 0.0%"
    assert difference.description == expected


def test_the_refusal_names_the_matching_width() -> None:
    other = dataclasses.replace(BASE, parameters=90_000, matching_d_ff=288)
    with pytest.raises(ConfigError, match=r"model\.d_ff=288 would match"):
        check_fairness({"a": BASE, "b": other}, a_design())


def test_the_table_has_one_row_per_arm() -> None:
    rows = cost_table({"a": BASE, "b": dataclasses.replace(BASE, d_ff=None)})
    assert rows[0][:2] == ["a", "100,000"]
    assert rows[1][-1] == "-"
