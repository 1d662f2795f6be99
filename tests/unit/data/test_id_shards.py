"""Ids in several files are indexed like one array."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from lmlab.data.batches import Batches, validation_windows
from lmlab.data.id_shards import IdShard, ShardedIds, open_ids, part_of


@pytest.fixture
def shards(tmp_path: Path) -> tuple[list[IdShard], np.ndarray]:  # type: ignore[type-arg]
    ids = np.random.default_rng(3).integers(60_000, size=1000)
    found, start = [], 0
    for number, (size, dtype) in enumerate([(1, "uint16"), (400, "uint32"), (0, "uint16"),
                                            (599, "int32")]):  # fmt: skip
        path = tmp_path / f"{number}.bin"
        path.write_bytes(b"head" + ids[start : start + size].astype(dtype).tobytes())
        found.append(IdShard(path, dtype, 4, size))
        start += size
    return found, ids


def test_any_index_gives_what_an_array_gives(
    shards: tuple[list[IdShard], np.ndarray],  # type: ignore[type-arg]
) -> None:
    for found in (ids := ShardedIds(shards[0]), pickle.loads(pickle.dumps(ids))):
        expected = shards[1]
        assert len(found) == len(expected) and np.array_equal(np.asarray(found), expected)
        for index in (slice(0, 1), slice(1, 401), slice(390, 410), slice(5, 2), slice(-3, None),
                      slice(0, 900, 7), slice(None, None, -1), np.array([[0, 1], [400, 999]]),
                      np.array([-1, 0]), np.array([], int), 0, 401, -1):  # fmt: skip
            assert np.array_equal(found[index], expected[index]), index
        with pytest.raises(IndexError):
            found[1000]


def test_batches_are_those_of_one_array(
    shards: tuple[list[IdShard], np.ndarray],  # type: ignore[type-arg]
) -> None:
    options = {"context_length": 16, "batch_size": 8, "seed": 1}
    several, one = Batches(ShardedIds(shards[0]), **options), Batches(shards[1], **options)
    for step in range(20):
        assert all(map(np.array_equal, several.batch(step), one.batch(step)))
    windows = {"context_length": 16, "max_tokens": 64}
    assert validation_windows(ShardedIds(shards[0]), **windows) == validation_windows(
        shards[1], **windows
    )


def test_a_part_of_shards_is_a_part_of_the_ids(
    shards: tuple[list[IdShard], np.ndarray],  # type: ignore[type-arg]
) -> None:
    for start, stop in ((0, 1), (1, 401), (390, 700), (999, 1000)):
        ids = open_ids(part_of(shards[0], start, stop))
        assert np.array_equal(ids[:], shards[1][start:stop])
    assert isinstance(open_ids(shards[0][1:2]), np.memmap)
