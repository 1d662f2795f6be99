"""The expression for AdamW's memory, compared with counts and with figures worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.accounting.memory import textbook_activation_values
from lmlab.accounting.model_counts import count_model
from lmlab.accounting.textbook import Textbook
from lmlab.config.compose import compose


def gpt2_xl(*overrides: str) -> dict[str, Any]:
    config = compose(["model=gpt2_xl", "model.ffn=silu", *overrides])
    return dict(config.as_dict()["model"])


@pytest.mark.parametrize("overrides", [[], ["model.context_length=64", "model.num_layers=3"]])
def test_the_expression_equals_the_sum_over_operations(overrides: list[str]) -> None:
    counts = count_model(gpt2_xl(*overrides))
    textbook = Textbook.of(counts)
    assert counts.parameters == textbook.parameters
    assert 4 * textbook_activation_values(counts, 1) == textbook.bytes_per_sequence
    assert 4 * textbook_activation_values(counts, 5) == 5 * textbook.bytes_per_sequence


def test_adamw_memory_of_gpt2_xl() -> None:
    textbook = Textbook.of(count_model(gpt2_xl()))
    assert textbook.evaluated() == "peak(B) = 26.17 GB + 15.31 GB x B"
    assert textbook.largest_batch(80 * 10**9) == 3
    assert textbook.peak_bytes(3) <= 80e9 < textbook.peak_bytes(4)


def test_a_model_larger_than_memory_has_no_largest_batch() -> None:
    textbook = Textbook(V=100, T=8, L=1, D=16, H=2)
    assert textbook.largest_batch(textbook.fixed_bytes - 1) == 0
    assert textbook.largest_batch(textbook.fixed_bytes + textbook.bytes_per_sequence) == 1
