"""Distinct words and their counts, in flat arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Integers = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Merge = tuple[bytes, bytes]


@dataclasses.dataclass(frozen=True)
class WordCounts:
    """Pre-tokens of at least two bytes; shorter ones contain no pair.

    Attributes:
        data: bytes of the words, with a zero before each word and at the end, (S,).
        starts: index of each word's first byte, and one past the last zero, (W + 1,).
        counts: occurrences of each word, (W,).
    """

    data: Bytes
    starts: Integers
    counts: Integers

    @classmethod
    def of(cls, counts: Iterable[tuple[bytes, int]]) -> WordCounts:
        """Collect words given one by one with their counts."""
        kept = [(word, count) for word, count in counts if len(word) > 1]
        data = b"\0" + b"".join(word + b"\0" for word, _ in kept)
        lengths = np.array([1] + [len(word) + 1 for word, _ in kept], dtype=np.int64)
        return cls(
            np.frombuffer(data, dtype=np.uint8),
            np.cumsum(lengths),
            np.array([count for _, count in kept], dtype=np.int64),
        )

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        data = self.data.tobytes()
        ends = (self.starts[1:] - 1).tolist()
        for start, end, count in zip(
            self.starts.tolist(), ends, self.counts.tolist(), strict=False
        ):
            yield data[start:end], count

    def __len__(self) -> int:
        return len(self.counts)
