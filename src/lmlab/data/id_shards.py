"""Ids in several files, read as one sequence without a copy of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lmlab.data.ids import Ids

IdArray = np.ndarray[Any, np.dtype[Any]]


class IdShard(NamedTuple):
    """A run of ids in a file.

    Attributes:
        path: the file.
        dtype: name of the type of an id; bytes are in little-endian order.
        offset: bytes of the file before the first id.
        num_tokens: number of ids.
    """

    path: Path
    dtype: str
    offset: int
    num_tokens: int

    def ids(self) -> IdArray:
        """The ids, (num_tokens,) of an unsigned type, mapped from the file."""
        unsigned = np.dtype(f"<u{np.dtype(self.dtype).itemsize}")
        if not self.num_tokens:
            return np.empty(0, unsigned)
        return np.memmap(self.path, unsigned, "r", self.offset, (self.num_tokens,))

    def part(self, start: int, stop: int) -> IdShard:
        """The ids from ``start`` to ``stop``, counted in ids."""
        width = np.dtype(self.dtype).itemsize
        return self._replace(offset=self.offset + start * width, num_tokens=stop - start)


def open_ids(shards: Sequence[IdShard]) -> Ids:
    """Return the ids of shards in a row: the array of one, :class:`ShardedIds` of several."""
    return shards[0].ids() if len(shards) == 1 else ShardedIds(shards)


def part_of(shards: Sequence[IdShard], start: int, stop: int) -> list[IdShard]:
    """Return the shards of the ids from ``start`` to ``stop`` of all."""
    found, first = [], 0
    for shard in shards:
        low, high = max(start - first, 0), min(stop - first, shard.num_tokens)
        if low < high:
            found.append(shard.part(low, high))
        first += shard.num_tokens
    return found


class ShardedIds:
    """Ids of several shards in a row, indexed like one array.

    Args:
        shards: in order; types may differ.
    """

    def __init__(self, shards: Sequence[IdShard]) -> None:
        self.shards = tuple(shard for shard in shards if shard.num_tokens)
        self._ends = np.cumsum([shard.num_tokens for shard in self.shards], dtype=np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """Without the mapped files, which another process maps itself."""
        return {key: value for key, value in vars(self).items() if key != "_arrays"}

    @functools.cached_property
    def _arrays(self) -> list[IdArray]:
        return [shard.ids() for shard in self.shards]

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds the ids of all shards."""
        return np.result_type(*(array.dtype for array in self._arrays), np.uint16)

    def __len__(self) -> int:
        """The number of ids."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: Any) -> Any:
        """The id at a position, or an array: of a slice, or of positions in any shape."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._slice(start, max(start, stop))
            index = np.arange(start, stop, step)
        positions = np.asarray(index, dtype=np.int64)
        size = len(self)
        if positions.size and not (-size <= positions.min() and positions.max() < size):
            raise IndexError(f"index out of bounds for {size} ids")
        positions = np.where(positions < 0, positions + size, positions)
        found = np.empty(positions.shape, self.dtype)
        which = np.searchsorted(self._ends, positions, side="right")
        for shard in np.unique(which):
            chosen = which == shard
            first = self._ends[shard] - self.shards[shard].num_tokens
            found[chosen] = self._arrays[shard][positions[chosen] - first]
        return found if positions.ndim else found[()]

    def _slice(self, start: int, stop: int) -> IdArray:
        found = np.empty(stop - start, self.dtype)
        done = 0
        for part in self._parts(start, stop):
            found[done : done + len(part)] = part
            done += len(part)
        return found

    def _parts(self, start: int, stop: int) -> Iterator[IdArray]:
        for array, end in zip(self._arrays, self._ends.tolist(), strict=True):
            first = end - len(array)
            if start < end and stop > first:
                yield array[max(start - first, 0) : stop - first]

    def __array__(self, dtype: Any = None, /) -> IdArray:
        """All ids in memory."""
        return self[:].astype(dtype or self.dtype, copy=False)
