"""Counts of neighbouring pairs stay exact where occurrences touch or overlap."""

from __future__ import annotations

from collections import Counter

from bpe_oracle import both, naive_merges
from hypothesis import given, settings
from hypothesis import strategies as st


def test_overlapping_occurrences_of_a_pair_are_counted() -> None:
    # "aaaa" contains three overlapping pairs (a, a).
    assert both(Counter({"aaaa": 1, "bc": 2}), 1) == [(b"a", b"a")]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text("ab", min_size=1, max_size=30), st.integers(1, 5), max_size=6))
def test_runs_and_alternations_equal_naive_merges(words: dict[str, int]) -> None:
    """In runs, occurrences of a pair overlap; in alternations, they touch."""
    runs = {"a" * len(word): count for word, count in words.items()}
    alternations = {"ab" * len(word): count for word, count in words.items()}
    for counts in (words, runs, alternations):
        assert both(Counter(counts), 10) == naive_merges(Counter(counts), 10)
