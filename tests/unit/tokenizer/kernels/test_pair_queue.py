"""Pairs are merged by count, and ties by their bytes."""

from __future__ import annotations

from collections import Counter

from bpe_oracle import both, naive_merges


def test_long_tokens_that_differ_late_are_compared_fully() -> None:
    stem = "lexicographic"
    counts = Counter({stem + end: 5 for end in ("d!x", "s!y", "\u00e9z", "sa", "s")})
    assert both(counts, 40) == naive_merges(counts, 40)


def test_ties_go_to_the_lexicographically_greater_pair_of_byte_strings() -> None:
    # "ab" and "zb" and "za" occur twice each; (z, b) is the greatest pair, then (z, a).
    assert both(Counter({"ab": 2, "zb": 2, "za": 2}), 2) == [(b"z", b"b"), (b"z", b"a")]
    # A longer first part is greater than its prefix: (ab, c) before (a, d) and (ab, b).
    counts = Counter({"ab": 9, "abc": 2, "abb": 2, "ad": 2})
    assert both(counts, 3) == [(b"a", b"b"), (b"ab", b"c"), (b"ab", b"b")]
