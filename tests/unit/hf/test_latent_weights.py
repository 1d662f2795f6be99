"""Matrices of latent attention in the layout of DeepSeek, row by row."""

from __future__ import annotations

import pytest
import torch

from lmlab.errors import DataError
from lmlab.hf.latent_weights import join_latent_weights, split_latent_weights

HEADS, RANK, NOPE, ROPE, VALUE, WIDTH = 3, 5, 4, 2, 6, 8


def state() -> dict[str, torch.Tensor]:
    shapes = {
        "kv_down": (RANK, WIDTH), "k_rope": (ROPE, WIDTH), "k_up": (HEADS * NOPE, RANK),
        "v_up": (HEADS * VALUE, RANK), "out": (WIDTH, HEADS * VALUE), "kv_latent_norm": (RANK,),
    }  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    weights = {
        f"layers.{layer}.{name}.weight": torch.randn(shape, generator=generator)
        for layer in range(2)
        for name, shape in shapes.items()
    }
    return weights | {"head.weight": torch.randn(7, WIDTH, generator=generator)}


def test_rows_of_keys_and_values_alternate_by_head_and_those_of_rotation_come_last() -> None:
    given = state()
    joined = join_latent_weights(given, HEADS)
    into = joined["layers.1.kv_down_and_k_rope.weight"]
    for row in range(RANK + ROPE):
        name, index = ("kv_down", row) if row < RANK else ("k_rope", row - RANK)
        assert torch.equal(into[row], given[f"layers.1.{name}.weight"][index])
    out_of = joined["layers.1.k_up_and_v_up.weight"]
    assert len(out_of) == HEADS * (NOPE + VALUE)
    for head in range(HEADS):
        for row in range(NOPE + VALUE):
            is_key = row < NOPE
            index = head * NOPE + row if is_key else head * VALUE + row - NOPE
            expected = given[f"layers.1.{'k_up' if is_key else 'v_up'}.weight"][index]
            assert torch.equal(out_of[head * (NOPE + VALUE) + row], expected)
    assert not any("k_rope.weight" in name and "and" not in name for name in joined)
    assert torch.equal(joined["head.weight"], given["head.weight"])


def test_splitting_undoes_joining() -> None:
    given = state()
    found = split_latent_weights(join_latent_weights(given, HEADS), HEADS)
    assert found.keys() == given.keys()
    assert all(torch.equal(found[name], weight) for name, weight in given.items())
    assert all(weight.is_contiguous() for weight in found.values())


@pytest.mark.parametrize("missing", ["k_up_and_v_up", "kv_latent_norm", "out"])
def test_a_layer_without_one_of_its_weights_is_refused(missing: str) -> None:
    joined = join_latent_weights(state(), HEADS)
    del joined[f"layers.1.{missing}.weight"]
    with pytest.raises(DataError, match=r"layers\.1\.\*: not those of latent attention"):
        split_latent_weights(joined, HEADS)


def test_a_number_of_heads_that_does_not_divide_the_rows_is_refused() -> None:
    with pytest.raises(DataError, match="not those of latent attention"):
        split_latent_weights(join_latent_weights(state(), HEADS), 7)
