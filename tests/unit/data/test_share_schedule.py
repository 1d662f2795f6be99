"""The shares of sources hold over every prefix of the sequences, for any weights."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.data.share_schedule import ShareSchedule, shares_of

AWKWARD = [
    [1], [1, 1], [0.3, 0.7], [1, 1, 1], [0.123456789012345, 3.3, 1e-3], [1e-6, 1, 1e6],
    [1 / 3, 2 / 7, 0.1, 5], [*range(1, 12)], [2**number for number in range(12)], [1] * 20,
    [1, 1, 2, 3, 5, 8, 13, 21, 34],
]  # fmt: skip


def sources(weights: list[float], number: int) -> list[int]:
    return ShareSchedule(shares_of(weights)).assign(np.arange(number))[0].tolist()


def test_weights_are_the_decimal_numbers_that_were_written() -> None:
    assert shares_of([0.1, 0.2]) == shares_of([1, 2]) == (Fraction(1, 3), Fraction(2, 3))
    assert shares_of([1e-05, 0.99999]) == (Fraction(1, 100_000), Fraction(99_999, 100_000))


def test_a_worked_example() -> None:
    # Of n sequences the first has had 3 n / 4, rounded (halves up): 0 1 2 2 3.
    assert sources([3, 1], 8) == [0, 0, 1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("weights", AWKWARD, ids=str)
def test_shares_hold_over_10000_steps_and_over_every_prefix(weights: list[float]) -> None:
    batch = 8
    found = np.array(sources(weights, 10_000 * batch))
    for source, share in enumerate(shares_of(weights)):
        had = np.cumsum(found == source)
        expected = float(share) * np.arange(1, len(found) + 1)
        assert np.abs(had - expected).max() < 1.7
        assert had[-1] / len(found) == pytest.approx(float(share), rel=0.01, abs=2 / len(found))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(1e-6, 1e6) | st.integers(1, 1000), min_size=1, max_size=9),
    st.integers(0, 10**13),
)
def test_every_sequence_is_the_next_of_its_source_anywhere(weights: list, first: int) -> None:
    schedule = ShareSchedule(shares_of(weights))
    had = schedule.counts(first)
    assert sum(had) == first
    for share, count in zip(schedule.shares, had, strict=True):
        assert abs(count - share * first) < Fraction(17, 10)
    which, ranks = schedule.assign(np.arange(first, first + 64))
    for source, rank in zip(which.tolist(), ranks.tolist(), strict=True):
        assert rank == had[source]
        had[source] += 1
    assert had == schedule.counts(first + 64)


def test_the_order_of_equal_sources_is_a_rule() -> None:
    assert Counter(sources([1, 1, 1, 1], 400)) == dict.fromkeys(range(4), 100)
    assert sources([1, 1], 4) == [0, 1, 0, 1]
