"""Gains as plain values agree with the analysis they come from."""

from __future__ import annotations

import math

import pytest

from lmlab.study.ladder_report.gain_rows import gains_of
from lmlab.study.ladder_report.ladder_study import LadderStudy


def test_rows_hold_factors_with_their_intervals(fixed: LadderStudy) -> None:
    assert fixed.result is not None
    new, again = gains_of(fixed.result, 0.1, "again")
    assert (new["arm"], new["is_replicate"], again["is_replicate"]) == ("new", False, True)
    for row, gain in zip(new["rungs"], fixed.result.gains["new"], strict=True):
        assert row["gain"] == pytest.approx(math.exp(gain.log_gain))
        assert row["low"] < 1.5 < row["high"]
        assert row["cost"] == fixed.facts.flops["base"][row["rung"]]


def test_the_trend_is_per_tenfold_compute_and_its_band_ends_at_the_rungs(
    fixed: LadderStudy,
) -> None:
    assert fixed.result is not None
    trend = gains_of(fixed.result, 0.1, None)[0]["trend"]
    line, verdict = trend["line"], fixed.result.verdicts["new"]
    assert trend["low"] < 1 < trend["high"]
    decades = math.log10(trend["cost"][-1] / trend["cost"][0])
    assert trend["factor"] == pytest.approx((line[-1] / line[0]) ** (1 / decades))
    assert line[-1] == pytest.approx(math.exp(verdict.last.estimate))
    assert all(low < middle < high for low, middle, high in zip(
        trend["band_low"], line, trend["band_high"], strict=True))  # fmt: skip
