"""Merges learned by the kernels equal those of an obvious trainer."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from bpe_oracle import both, naive_merges, random_corpus, words_of
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.tokenizer import (
    merge_learner,
)


@pytest.mark.parametrize("seed", range(10))
def test_merges_of_3000_random_corpora_equal_naive_merges(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        counts, number = random_corpus(chance), chance.choice([1, 3, 10, 100])
        expected = naive_merges(counts, number)
        assert both(counts, number) == expected, (counts, number)
        results = [left + right for left, right in expected]
        assert len(set(results)) == len(results)  # as proved in kernels/merges.py


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=12), st.integers(1, 9)), max_size=12))
def test_merges_on_small_alphabets_equal_naive_merges(words: list[tuple[str, int]]) -> None:
    counts = Counter(dict(words))
    assert both(counts, 12) == naive_merges(counts, 12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=10))
def test_merges_on_any_unicode_equal_naive_merges(words: list[str]) -> None:
    counts = Counter(words)
    assert both(counts, 20) == naive_merges(counts, 20)


def test_the_minimum_pair_count_is_the_nth_largest_word_count() -> None:
    words = words_of(Counter({"ab": 9, "cd": 7, "ef": 5, "g": 100}))
    assert [merge_learner.min_pair_count(words.counts, number) for number in (1, 2, 3, 4)] == [
        9,
        7,
        5,
        1,
    ]


def test_positions_are_compacted_when_space_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    compacted = []
    call = merge_learner._Learner._call

    def counted(self: merge_learner._Learner, name: str, until: int = 0) -> int:
        compacted.append(name == "compact")
        return call(self, name, until)

    monkeypatch.setattr(merge_learner._Learner, "_call", counted)
    chance = random.Random(2)
    counts = Counter("".join(chance.choices("abcd", k=30)) for _ in range(200))
    assert both(counts, 2000) == naive_merges(counts, 2000)
    assert sum(compacted) > 2
