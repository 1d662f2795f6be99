"""Which source each training sequence comes from: a pure function of its number."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.int64]]
_INT64 = 1 << 62  # products below it are computed in 64 bits, others with Python's integers


def shares_of(weights: Sequence[float]) -> tuple[Fraction, ...]:
    """Return weights as shares of 1, exactly as they are written: 0.1 is a tenth.

    Args:
        weights: positive numbers.
    """
    exact = [Fraction(str(weight)) for weight in weights]
    total = sum(exact)
    return tuple(weight / total for weight in exact)


@dataclasses.dataclass(frozen=True)
class _Branch:
    """Two groups of sources: of n sequences, the left one gets n * share, rounded.

    Attributes:
        share: of the left group, of what both get.
        left: a branch, or the index of a source.
        right: likewise.
    """

    share: Fraction
    left: _Branch | int
    right: _Branch | int

    def num_left(self, numbers: Numbers) -> Numbers:
        """How many of the first ``numbers`` sequences are of the left group."""
        part, whole = self.share.numerator, self.share.denominator
        largest = 2 * part * int(numbers.max(initial=0)) + whole
        exact = numbers if largest < _INT64 else numbers.astype(object)
        return ((2 * part * exact + whole) // (2 * whole)).astype(np.int64)


class ShareSchedule:
    """Assigns sequence number n = 0, 1, ... to a source, so that shares hold at every moment.

    Sources are divided in two groups, and these again, as in a Huffman tree (Huffman 1952) of the
    shares. At each branch, of any first n sequences the left group has had ``n * share``, rounded
    to the nearest integer. Hence no table and no state is needed, whichever sequence is asked for.

    Of any first n sequences, a source with share w has had n w, up to 1.7: rounding at a branch
    adds at most 1/2, of which a source has its part. On the way from a source to the root of a
    Huffman tree shares grow at least like Fibonacci numbers, so the sum is below
    (1 + 1 + 1/2 + 1/3 + 1/5 + ...) / 2 < 1.7.

    Args:
        shares: of the sources, positive, with the sum 1.
    """

    def __init__(self, shares: Sequence[Fraction]) -> None:
        assert sum(shares) == 1 and min(shares) > 0
        self.shares = tuple(shares)
        # Of equal shares the earlier source is popped last, and so has the first sequence.
        heap: list[tuple[Fraction, int, _Branch | int]] = [
            (share, -index, index) for index, share in enumerate(shares)
        ]
        heapq.heapify(heap)
        for number in range(len(shares), 2 * len(shares) - 1):
            small, _, right = heapq.heappop(heap)
            large, _, left = heapq.heappop(heap)
            branch = _Branch(large / (small + large), left, right)
            heapq.heappush(heap, (small + large, -number, branch))
        self._root = heap[0][2]

    def assign(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return where sequences come from.

        Args:
            numbers: of the sequences, (N,).

        Returns:
            The index of the source of each, and its number among those of this source, each (N,).
        """
        sources = np.empty(len(numbers), dtype=np.int64)
        ranks = np.empty(len(numbers), dtype=np.int64)
        todo = [(self._root, np.arange(len(numbers)), numbers)]
        while todo:
            node, places, own = todo.pop()
            if isinstance(node, int):
                sources[places], ranks[places] = node, own
                continue
            before = node.num_left(own)
            is_left = node.num_left(own + 1) > before
            todo.append((node.left, places[is_left], before[is_left]))
            todo.append((node.right, places[~is_left], (own - before)[~is_left]))
        return sources, ranks

    def counts(self, number: int) -> list[int]:
        """Return how many of the first ``number`` sequences come from each source."""
        found = [0] * len(self.shares)
        todo = [(self._root, number)]
        while todo:
            node, own = todo.pop()
            if isinstance(node, int):
                found[node] = own
                continue
            left = int(node.num_left(np.array([own], dtype=np.int64))[0])
            todo += [(node.left, left), (node.right, own - left)]
        return found
