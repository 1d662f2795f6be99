from __future__ import annotations

import pytest

from lmlab.console.formatting import (
    format_bytes,
    format_count,
    format_duration,
    format_list,
    format_rounded,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (8.508e9, "8.51 GB"), (999.6e6, "1 GB"),
        (15.3e12, "15.3 TB"), (2.5e15, "2,500 TB"),
    ],
)  # fmt: skip
def test_bytes_have_the_unit_that_leaves_one_to_three_digits(size: float, text: str) -> None:
    assert format_bytes(size) == text


def test_the_number_format_of_bytes_can_be_chosen() -> None:
    assert format_bytes(26.172e9, ".2f") == "26.17 GB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.26, "0.26 s"), (5, "5 s"), (9.94, "9.9 s"), (9.96, "10 s"), (89, "89 s"),
        (600, "10 min"), (7200, "2.0 h"), (259200, "3.0 days"), (86400 * 6583.6, "6,583.6 days"),
    ],
)  # fmt: skip
def test_durations_have_a_unit_of_their_size(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (2000, "2,000 runs")]
)
def test_a_number_of_things(number: int, text: str) -> None:
    assert format_count(number, "run") == text


def test_a_plural_of_its_own() -> None:
    assert [format_count(n, "pass", "passes") for n in (1, 2)] == ["1 pass", "2 passes"]


def test_the_last_word_of_a_list_follows_and() -> None:
    assert [format_list("abc"[:number]) for number in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_rounded_numbers_have_three_digits() -> None:
    numbers = (52_345.0, 7.0, 1_234_567.0)
    assert [format_rounded(one) for one in numbers] == ["52,300", "7", "1,230,000"]
