"""Gains read as what they are: a number, a bound, or an interval with an open end."""

from __future__ import annotations

import math

import pytest

from lmlab.study.ladder_report.wording import (
    bounded,
    cost_ticks,
    factor_text,
    interval_text,
    power_text,
    with_interval,
)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.9, 1.1, "0.900 to 1.10"),
        (1.2, None, "1.20 or more"),
        (None, 0.8, "0.800 or less"),
        (None, None, "not bounded"),
        (0.978, 0.9996, "0.978 to 0.9996"),
        (0.978, 1.0004, "0.978 to 1.00"),
    ],
)
def test_an_interval_shows_whether_it_excludes_one(
    low: float | None, high: float | None, text: str
) -> None:
    assert interval_text(low, high) == text


def test_a_bound_is_called_one() -> None:
    row = {"gain": None, "bound": "at least", "bound_gain": 2.1, "low": 1.4, "high": None}
    assert with_interval(row) == "at least 2.10 (1.40 or more)"
    assert with_interval(row | {"gain": 1.32, "high": 1.5}) == "1.32 (1.40 to 1.50)"


def test_numbers_keep_three_digits() -> None:
    assert [factor_text(one) for one in (0.0312, 1.0, 12.34, 1234.0)] == [
        "0.0312", "1.00", "12.3", "1,234",
    ]  # fmt: skip
    assert power_text(6.5431e8) == "6.5e8" and power_text(3e13) == "3.0e13"
    assert bounded(math.inf) is None and bounded(math.nan) is None and bounded(0.0) == 1.0


def test_ticks_are_round_costs_and_no_more_than_fit() -> None:
    assert cost_ticks(1.4e9, 4e10, 4) == {2e9: "2e9", 5e9: "5e9", 1e10: "1e10", 2e10: "2e10"}
    assert list(cost_ticks(8e9, 1.2e14, 3).values()) == ["1e10", "1e12", "1e14"]
    assert list(cost_ticks(3.9, 60.0, 4).values()) == ["5", "10", "20", "50"]
