"""Chunk sizes of the loss: powers of two that keep to the limits."""

from __future__ import annotations

import pytest

from lmlab.nn.loss_counts import (
    BYTES_PER_IN_PLACE_CHUNK,
    MIN_ROWS,
    VALUES_PER_CHUNK,
    chunk_rows,
    in_place_chunk_rows,
)

VOCABULARIES = [256, 10_000, 50_257, 10**7]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize(("device", "limit"), VALUES_PER_CHUNK.items())
def test_a_chunk_fills_more_than_half_of_its_limit(
    vocabulary: int, device: str, limit: int
) -> None:
    rows = chunk_rows(vocabulary, device)
    assert rows & (rows - 1) == 0, "expected a power of two"
    assert rows == MIN_ROWS or limit / 2 < rows * vocabulary <= limit


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("item_size", [2, 4])
@pytest.mark.parametrize(("device", "limit"), BYTES_PER_IN_PLACE_CHUNK.items())
def test_an_in_place_chunk_fills_more_than_half_of_its_limit(
    vocabulary: int, item_size: int, device: str, limit: int
) -> None:
    rows = in_place_chunk_rows(vocabulary, item_size, device)
    assert rows & (rows - 1) == 0, "expected a power of two"
    assert rows == MIN_ROWS or limit / 2 < rows * vocabulary * item_size <= limit
