"""The table of pairs finds every pair, also after it has grown."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from bpe_oracle import both, naive_merges, words_of

from lmlab.tokenizer import (
    merge_learner,
)
from lmlab.tokenizer.kernels import merge_state as fields
from lmlab.tokenizer.kernels.library import load


def test_merges_are_correct_when_the_pair_table_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghij", k=9)) for _ in range(300)]
    monkeypatch.setattr(merge_learner, "_INITIAL_PAIRS", 1)
    counts = Counter(words)
    assert both(counts, 400) == naive_merges(counts, 400)


def test_every_pair_is_found_by_probing_from_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_learner, "_INITIAL_PAIRS", 1)
    chance = random.Random(1)
    counts = Counter("".join(chance.choices("abcdefghij", k=9)) for _ in range(300))
    kernels = load("merges")
    assert kernels is not None
    learner = merge_learner._Learner(kernels, words_of(counts), 400)
    learner.learn()
    table = learner.arrays["table"].tolist()
    num_pairs = int(learner.state[fields.SLOTS])
    assert sorted(slot for slot in table if slot != fields.NONE) == list(range(num_pairs))
    mask = len(table) - 1
    for slot in range(num_pairs):
        left, right = (int(learner.arrays[name][slot]) for name in ("pair_left", "pair_right"))
        index = (left * 0x9E3779B1 + right * 0x85EBCA77) & 0x7FFFFFFFFFFFFFF
        index = (index ^ index >> 17) & mask
        while table[index] != slot:
            assert table[index] != fields.NONE, "an empty slot ends the search"
            index = (index + 1) & mask
