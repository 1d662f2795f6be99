"""Learning merges with compiled kernels: the arrays, their growth, and progress.

Exact pruning: let t be the count of the N-th most frequent word of two bytes or more. Each merge
completes at most one word, so before the N-th merge one of these N words still contains a pair, and
that pair's count is at least t. Hence no pair with a count below t is among the first N merges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lmlab.console.progress_bar import progress
from lmlab.errors import DataError
from lmlab.tokenizer.buffers import address
from lmlab.tokenizer.kernels import merge_state as fields
from lmlab.tokenizer.kernels.library import Kernel, load
from lmlab.tokenizer.word_counts import Merge, WordCounts

Array = np.ndarray[Any, Any]

_BATCH = 1000  # merges between two updates of the progress bar
_MAX_BYTES = 1 << 31  # positions are int32
_INITIAL_PAIRS = 1 << 17  # a power of two


def learn_merges(words: WordCounts, num_merges: int) -> list[Merge] | None:
    """Return up to ``num_merges`` merges; fewer once every word is a single token.

    Returns None without kernels; :mod:`lmlab.tokenizer.reference_training` learns the same merges.

    Raises:
        DataError: the distinct words total 2^31 bytes or more.
    """
    kernels = load("merges")
    if kernels is None:
        return None
    if len(words.data) >= _MAX_BYTES:
        raise DataError(
            f"training text: expected distinct words of less than {_MAX_BYTES:,} bytes in total, "
            f"found {len(words.data):,}",
            "train on less text",
        )
    if num_merges == 0 or len(words) == 0:
        return []
    return _Learner(kernels, words, num_merges).learn()


def min_pair_count(counts: Array, num_merges: int) -> int:
    """A lower bound of the counts of the first ``num_merges`` pairs; see the module."""
    if len(counts) < num_merges:
        return 1
    return max(1, int(np.partition(counts, -num_merges)[-num_merges]))


class _Learner:
    """The arrays of the kernels, keyed by the names of their arguments."""

    def __init__(self, kernels: Mapping[str, Kernel], words: WordCounts, num_merges: int) -> None:
        self.kernels, self.num_merges = kernels, num_merges
        size, tokens = len(words.data), fields.BYTES + num_merges
        state = self.state = np.zeros(fields.STATE_SIZE, dtype=np.int64)
        state[fields.FLOOR] = min_pair_count(words.counts, num_merges)
        state[fields.TOKENS] = fields.BYTES
        state[fields.DATA_SIZE], state[fields.WORDS] = size, len(words)
        self.arrays: dict[str, Array] = {
            "state": state,
            "data": words.data,
            "word_start": words.starts,
            "weights": words.counts,
            # Pages that are never written use no memory.
            "symbols": np.empty(size, dtype=np.int32),
            "nearby_word": np.empty((size >> fields.WORD_SHIFT) + 1, dtype=np.int32),
            "byte_count": np.zeros(fields.BYTES**2, dtype=np.int64),
            "byte_number": np.zeros(fields.BYTES**2, dtype=np.int64),
            "merge_left": np.empty(num_merges, dtype=np.int32),
            "merge_right": np.empty(num_merges, dtype=np.int32),
        }
        for name, kind in _TOKENS.items():
            self.arrays[name] = np.empty(tokens, dtype=kind)
        for side in ("left", "right"):
            self.arrays[f"{side}_count"] = np.zeros(tokens, dtype=np.int64)
            self.arrays[f"{side}_number"] = np.zeros(tokens, dtype=np.int64)
            self.arrays[f"{side}_seen"] = np.empty(tokens, dtype=np.int32)

    def learn(self) -> list[Merge]:
        """Learn and return all merges."""
        self._call("byte_tokens")
        self._call("write_symbols")
        num_distinct = int(np.count_nonzero(self.arrays["byte_count"]))
        self._allocate_pairs(max(_INITIAL_PAIRS, 1 << num_distinct.bit_length()))
        frequent = self.arrays["byte_count"] >= self.state[fields.FLOOR]
        self._allocate_positions(int(self.arrays["byte_number"][frequent].sum()))
        self._call("first_pairs")
        with progress(total=self.num_merges, desc="learning merges", unit="merge") as bar:
            made = 0
            while made < self.num_merges:
                code = self._call("learn", min(made + _BATCH, self.num_merges))
                bar.update(int(self.state[fields.MERGES]) - made)
                made = int(self.state[fields.MERGES])
                if code == fields.EXHAUSTED:
                    break
                self._grow(code)
        return self._merges(made)

    def _call(self, name: str, until: int = 0) -> int:
        arguments = [
            until if argument == "until" else address(self.arrays[argument])
            for argument in ARGUMENTS[name]
        ]
        return self.kernels[name](*arguments)

    def _grow(self, code: int) -> None:
        if code == fields.GROW_PAIRS:
            size = 2 * int(self.state[fields.PAIRS_SIZE])
            if size > 1 << int(self.state[fields.SHIFT]):
                raise DataError("training text: too many distinct pairs", "train on less text")
            self._allocate_pairs(size)
            self._call("fill_table")
        elif code == fields.GROW_POSITIONS:
            self._call("compact")
            taken = int(self.state[fields.POSITIONS])
            free = int(self.state[fields.POSITIONS_SIZE]) - taken
            if free < max(self.state[fields.NEEDED], taken // 8):
                self._allocate_positions(taken + int(self.state[fields.NEEDED]))

    def _allocate_positions(self, size: int) -> None:
        """Allocate space for ``size`` positions and a quarter more, and copy the existing ones."""
        new = np.empty(size + size // 4 + 16, dtype=np.int32)
        if "positions" in self.arrays:
            taken = int(self.state[fields.POSITIONS])
            new[:taken] = self.arrays["positions"][:taken]
        self.arrays["positions"] = new
        self.state[fields.POSITIONS_SIZE] = len(new)

    def _allocate_pairs(self, size: int) -> None:
        """Allocate space for ``size`` pairs, and copy the existing ones."""
        for name, kind in _PAIRS.items():
            new = np.empty(size, dtype=kind)
            if name in self.arrays:
                new[: len(self.arrays[name])] = self.arrays[name]
            self.arrays[name] = new
        self.arrays["table"] = np.full(2 * size, fields.NONE, dtype=np.int32)
        self.state[fields.PAIRS_SIZE], self.state[fields.TABLE_SIZE] = size, 2 * size

    def _merges(self, made: int) -> list[Merge]:
        entries = [bytes([byte]) for byte in range(fields.BYTES)]
        merges = []
        lefts = self.arrays["merge_left"][:made].tolist()
        rights = self.arrays["merge_right"][:made].tolist()
        for left, right in zip(lefts, rights, strict=True):
            merges.append((entries[left], entries[right]))
            entries.append(entries[left] + entries[right])
        return merges


_TOKENS = {
    "token_start": np.int64,
    "token_size": np.int64,
    "token_key": np.int64,
}
_PAIRS = {
    "pair_left": np.int32,
    "pair_right": np.int32,
    "pair_count": np.int64,
    "pair_start": np.int64,
    "pair_size": np.int64,
    "heap": np.int64,
    "level": np.int32,
}
ARGUMENTS = {
    name: line.split()
    for name, line in {
        "byte_tokens": "token_start token_size token_key",
        "write_symbols": "state data word_start weights symbols nearby_word byte_count byte_number",
        "first_pairs": "state data symbols byte_count byte_number table pair_left pair_right "
        "pair_count pair_start pair_size heap positions",
        "fill_table": "state table pair_left pair_right",
        "compact": "state symbols pair_left pair_right pair_count pair_start pair_size positions "
        "token_size",
        "learn": "state until data symbols nearby_word word_start weights table pair_left "
        "pair_right pair_count pair_start pair_size heap level positions token_start token_size "
        "token_key left_count left_number left_seen right_count right_number right_seen "
        "merge_left merge_right",
    }.items()
}
