"""Learning merges on flat arrays: counts and symbols."""

from __future__ import annotations

from collections import Counter

import numpy as np
from bpe_oracle import both

from lmlab.tokenizer import merge_learner
from lmlab.tokenizer.kernels import merge_state as fields
from lmlab.tokenizer.kernels.library import load
from lmlab.tokenizer.word_counts import WordCounts


def test_counts_beyond_32_bits_are_exact() -> None:
    counts = Counter({"ab": 2**33 + 1, "cd": 2**33, "ef": 2**33 + 2})
    assert both(counts, 3) == [(b"e", b"f"), (b"a", b"b"), (b"c", b"d")]


def test_initial_symbols_and_pair_counts_match_the_words() -> None:
    words = {b"aab": 3, b"ab": 2, "é".encode(): 5}
    kernels = load("merges")
    assert kernels is not None
    learner = merge_learner._Learner(kernels, WordCounts.of(words.items()), 1)
    learner._call("byte_tokens")
    learner._call("write_symbols")
    between = fields.SEPARATOR
    symbols = [between, *b"aab", between, *b"ab", between, *"é".encode(), between]
    assert learner.arrays["symbols"].tolist() == symbols
    weighted = {97 * 256 + 97: 3, 97 * 256 + 98: 5, 0xC3 * 256 + 0xA9: 5}
    unweighted = {97 * 256 + 97: 1, 97 * 256 + 98: 2, 0xC3 * 256 + 0xA9: 1}
    for name, pairs in (("byte_count", weighted), ("byte_number", unweighted)):
        found = learner.arrays[name]
        assert {int(pair): int(found[pair]) for pair in np.flatnonzero(found)} == pairs
