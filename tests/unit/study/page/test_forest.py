"""Differences in the tables of verdicts: one scale, on which small and huge effects are drawn."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lmlab.study.page.forest import forest_layout


def a_row(at: str, low: float | None, difference: float | None, high: float | None,
          seeds: list[float] | None = None) -> dict[str, Any]:  # fmt: skip
    return {"at": at, "low": low, "difference": difference, "high": high,
            "differences": seeds or []}  # fmt: skip


def test_verdicts_share_a_scale_on_which_a_huge_effect_is_drawn() -> None:
    own = [a_row("own", -0.03, 0.0, 0.03, [-0.01, 0.01]), a_row("own", 0.9, 1.0, 1.1),
           a_row("own", 0, 0.02, 9), a_row("own", None, None, None)]  # fmt: skip
    other = [a_row("other", -0.03, 0.0, 0.03), a_row("other", -2, -0.01, 0.02)]
    layout = forest_layout([*own, *other], margin=0.02)
    near, far, wide, lost = layout["rows"]["own"]
    assert layout["is_compressed"] and lost is None
    assert layout["rows"]["other"][0] == near | {"seeds": []}, "one scale for both tables"
    places = [near["low"], near["difference"], near["high"], far["low"], far["difference"],
              far["high"], wide["high"]]  # fmt: skip
    assert places == sorted(places) and places[0] > 0 and places[-1] < 100
    assert near["high"] - near["low"] > 8, "percent of the width: the small interval is legible"
    assert far["high"] - far["low"] > 1
    zero = layout["zeros"]["own"]
    assert near["difference"] == zero
    low, high = near["seeds"]
    assert low < zero < high
    low, high = layout["margins"]["own"]
    assert near["low"] < low < zero < high < near["high"]
    ticks = dict(layout["ticks"]["own"])
    assert ticks[low] == ticks[high] == "", "no room for labels at the ends of the margin"
    labels = [label for label in ticks.values() if label]
    assert labels == ["-2", "-0.4", "0 \u00b1 0.02", "+1", "+5"]
    marks = [place for place, label in layout["ticks"]["own"] if label]
    assert all(after - before > 3.3 * 2 for before, after in itertools.pairwise(marks))


def test_tables_whose_ranges_differ_much_have_scales_of_their_own() -> None:
    own = [a_row("own", -0.03, 0.0, 0.03), a_row("own", -0.04, 0.0, 0.05)]
    for reach, is_shared in ((0.2, True), (0.3, False)):
        layout = forest_layout([*own, a_row("other", -0.03, 0.0, reach)], margin=0.02)
        assert layout["is_shared"] == is_shared
        assert (layout["ticks"]["own"] == layout["ticks"]["other"]) == is_shared
    assert layout["rows"]["own"][1]["high"] == layout["rows"]["other"][0]["high"] == 92


def test_effects_of_one_size_have_a_linear_scale() -> None:
    layout = forest_layout([a_row("own", low, 0.0, 0.04) for low in (-0.01, -0.02, -0.04)])
    assert not layout["is_compressed"]
    labels = [label for _, label in layout["ticks"]["own"]]
    assert labels == ["-0.04", "-0.02", "0", "+0.02", "+0.04"]
    first, second, third = layout["rows"]["own"]
    assert first["low"] - second["low"] == pytest.approx((second["low"] - third["low"]) / 2)
    assert layout["margins"]["own"] is None


def test_a_scale_of_small_effects_ends_at_the_margin() -> None:
    rows = [a_row("own", -1e-7, 0.0, 1e-7), a_row("own", -4e-4, 1e-5, 4e-4)]
    layout = forest_layout(rows, margin=0.02)
    assert not layout["is_compressed"]
    labels = [label for _, label in layout["ticks"]["own"]]
    assert labels == ["-0.02", "-0.01", "0", "+0.01", "+0.02"]
    assert layout["margins"]["own"] == (8, 92)


def test_the_ends_of_the_margin_are_ticks() -> None:
    layout = forest_layout([a_row("own", -0.04, 0.0, 0.04)], margin=0.03)
    assert [label for _, label in layout["ticks"]["own"]] == ["-0.03", "0", "+0.03"]
    assert layout["margins"]["own"] == (layout["ticks"]["own"][0][0], layout["ticks"]["own"][2][0])


def test_a_single_pair_has_no_interval() -> None:
    layout = forest_layout([a_row("own", None, 0.3, None, [0.3])])
    (row,) = layout["rows"]["own"]
    assert row["low"] is None and row["high"] is None and row["seeds"] == [row["difference"]]


def test_the_range_is_that_of_what_is_shown() -> None:
    """All effects on one side: the other side needs no room beyond the margin."""
    rows = [a_row("own", 0.165, 0.175, 0.186), a_row("own", 0.225, 0.238, 0.251, [0.253])]
    layout = forest_layout(rows, margin=0.02)
    assert layout["margins"]["own"][0] == 8 and layout["rows"]["own"][1]["seeds"] == [92]
    first = layout["rows"]["own"][0]
    assert first["high"] - first["low"] > 6, "percent of the width: wider than the dot on it"
    assert layout["zeros"]["own"] == pytest.approx(8 + 84 * 0.02 / 0.273, abs=0.01)
    assert dict(layout["ticks"]["own"])[layout["zeros"]["own"]].startswith("0")
    assert [label for _, label in layout["ticks"]["own"] if label][1:] == ["+0.1", "+0.2"]


@pytest.mark.parametrize("value", [1e-6, 0.011, 0.3, 7.0, 4e4])
@pytest.mark.parametrize("margin", [None, 0.02])
def test_labels_stay_within_the_width_and_apart(value: float, margin: float | None) -> None:
    for low in (-value, -value / 7, value / 2):
        layout = forest_layout([a_row("own", low, value / 2, value)], margin=margin)
        shown = [(place, 3.3 * len(label) / 2) for place, label in layout["ticks"]["own"] if label]
        assert all(half - 1 <= place <= 101 - half for place, half in shown)
        assert all(
            after - before >= one + other - 0.01
            for (before, one), (after, other) in itertools.pairwise(shown)
        )
        assert len(shown) > 1 or (margin and value < margin)
