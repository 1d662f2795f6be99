"""The cache against keys, values and positions that are concatenated."""

from __future__ import annotations

import pytest
import torch

from lmlab.nn.kv_cache import KVCache


def make(max_length: int = 6) -> KVCache:
    return KVCache(
        batch_size=3, num_kv_heads=2, max_length=max_length, d_head=4, device=torch.device("cpu"),
        dtype=torch.float64,
    )  # fmt: skip


def chunk(length: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 2, length, 4, generator=generator, dtype=torch.float64)


def test_what_was_appended_comes_back_in_order() -> None:
    cache, keys, values, positions = make(), [], [], []
    for seed, length in enumerate((3, 1, 2)):
        keys.append(chunk(length, seed))
        values.append(chunk(length, 10 + seed))
        positions.append(torch.randint(0, 9, (3, length)))
        found_positions = cache.append_positions(positions[-1])
        found_keys, found_values = cache.append(keys[-1], values[-1])
        assert torch.equal(found_keys, torch.cat(keys, dim=2))
        assert torch.equal(found_values, torch.cat(values, dim=2))
        assert torch.equal(found_positions, torch.cat(positions, dim=1))
    assert cache.length == 6


def test_sequences_that_are_left_out_take_their_keys_and_positions_with_them() -> None:
    cache, key, value = make(), chunk(2, 0), chunk(2, 1)
    cache.append_positions(torch.tensor([[0, 1], [5, 6], [7, 8]]))
    cache.append(key, value)
    cache.keep_rows(torch.tensor([2, 0]))
    positions = cache.append_positions(torch.tensor([[9], [2]]))
    keys, values = cache.append(chunk(1, 2)[:2], chunk(1, 3)[:2])
    assert positions.tolist() == [[7, 8, 9], [0, 1, 2]]
    assert torch.equal(keys, torch.cat([key[[2, 0]], chunk(1, 2)[:2]], dim=2))
    assert torch.equal(values, torch.cat([value[[2, 0]], chunk(1, 3)[:2]], dim=2))


def test_more_tokens_than_the_capacity_are_refused_and_change_nothing() -> None:
    cache, key = make(max_length=3), chunk(2, 0)
    cache.append(key, key)
    for append in (
        lambda: cache.append(chunk(2, 1), chunk(2, 1)),
        lambda: cache.append_positions(torch.zeros(3, 2, dtype=torch.int64)),
    ):
        with pytest.raises(IndexError, match="cache of 3 tokens: cannot hold 4 tokens"):
            append()
    assert cache.length == 2
    assert torch.equal(cache.append(key[:, :, :1], key[:, :, :1])[0][:, :, :2], key)
