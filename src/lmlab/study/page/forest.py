"""The layout of the differences from the baseline as bars in the page's tables of verdicts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.study.chart_scales import Scale, effect_scale, effect_values

_EDGE = 8.0  # percent of the width that stay free at either end, for labels
_OVERHANG = 1.0  # percent by which a label may leave the width
_DECADES = 5  # over which round numbers are tried as ticks
_CHARACTER = 3.3  # percent of the least width that a character of a label takes
_SHARED = 5.0  # ratio of the ranges of two tables up to which they share a scale
_LABEL_GAP = 1.5  # percent


def forest_layout(rows: Sequence[dict[str, Any]], margin: float | None = None) -> dict[str, Any]:
    """Lay out the differences, their intervals and seeds of each table.

    All tables share one scale, unless their ranges differ by more than a factor of five. The scale
    is compressed where a few effects are much larger than the others, so that all of them are
    drawn. Its range is that of what is shown: intervals, seeds, zero and the margin, whose ends are
    ticks.

    Args:
        rows: rows of the content's ``verdicts``.
        margin: largest difference that counts as none; drawn as a band.

    Returns:
        ``is_compressed``, whether any scale is; ``is_shared``, whether all tables have one scale;
        and for each table, by the ``at`` of its rows: ``ticks`` as pairs of position and label,
        which is empty where it would overlap another; ``zeros``, the position of zero;
        ``margins``, the ends of the band, or None;
        and ``rows``: the positions of both ends of the interval, of the difference and of every
        seed, in percent of the width. A row without a difference is None.
    """
    tables = {
        at: [row for row in rows if row["at"] == at] for at in dict.fromkeys(r["at"] for r in rows)
    }
    reaches = [reach for one in tables.values() if (reach := _reach(one, margin)) > 0]
    is_shared = not reaches or max(reaches) <= _SHARED * min(reaches)
    axes = {at: _Axis.of(rows if is_shared else one, margin) for at, one in tables.items()}
    return {
        "ticks": {at: axis.ticks() for at, axis in axes.items()},
        "zeros": {at: axis.position(0.0) for at, axis in axes.items()},
        "is_compressed": any(axis.scale.width is not None for axis in axes.values()),
        "is_shared": is_shared,
        "margins": {
            at: (axis.position(-margin), axis.position(margin)) if margin else None
            for at, axis in axes.items()
        },
        "rows": {at: [axes[at].row(one) for one in found] for at, found in tables.items()},
    }


def _reach(rows: Sequence[dict[str, Any]], margin: float | None) -> float:
    """Return the largest absolute value that a table shows."""
    effects = [effect_values(row) for row in rows if row["difference"] is not None]
    return max((abs(value) for values in effects for value in values), default=margin or 0.0)


@dataclasses.dataclass(frozen=True)
class _Axis:
    """The axis of one table or several: its scale, and the range that it shows."""

    scale: Scale
    low: float
    high: float
    margin: float

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]], margin: float | None) -> _Axis:
        effects = [effect_values(row) for row in rows if row["difference"] is not None]
        ends = margin or 0.0
        values = [value for effect in effects for value in effect] + [-ends, 0.0, ends]
        low, high = min(values), max(values)
        if low == high:
            low, high = -1.0, 1.0
        return cls(effect_scale(effects, ends), low, high, ends)

    def position(self, value: float) -> float:
        first, last = self.scale.forward(self.low), self.scale.forward(self.high)
        share = (self.scale.forward(value) - first) / (last - first)
        return round(_EDGE + (100 - 2 * _EDGE) * share, 2)

    def row(self, row: dict[str, Any]) -> dict[str, Any] | None:
        if row["difference"] is None:
            return None
        has_interval = row["low"] is not None and row["high"] is not None
        return {
            "low": self.position(row["low"]) if has_interval else None,
            "high": self.position(row["high"]) if has_interval else None,
            "difference": self.position(row["difference"]),
            "seeds": [self.position(value) for value in row.get("differences", [])],
        }

    def ticks(self) -> list[tuple[float, str]]:
        """Return the ticks from left to right: zero, the ends of the margin, and round numbers.

        Coarse numbers come first, and finer ones where their labels have room.
        """
        found = {0.0: "0"}
        if self.margin:
            ends = {-self.margin: f"{-self.margin:+g}", self.margin: f"{self.margin:+g}"}
            if all(self._has_room(*end, found) for end in ends.items()):
                found |= ends
            else:  # one label for both ends, at zero
                both = f"0 \u00b1 {self.margin:g}"
                found = {0.0: both if self._has_room(0.0, both, {}) else "0"}
                found |= dict.fromkeys(ends, "")
        for step in _steps(max(-self.low, self.high)):
            for multiple in (1, -1, 2, -2, 3, -3, 4, -4):
                value = round(multiple * step, 12)
                label = f"{value:+g}"
                if self.low <= value <= self.high and self._has_room(value, label, found):
                    found[value] = label
        return [(self.position(tick), label) for tick, label in sorted(found.items())]

    def _has_room(self, tick: float, label: str, others: Mapping[float, str]) -> bool:
        """Return whether a label overlaps no other and does not leave the width."""
        place, half = self.position(tick), _CHARACTER * len(label) / 2
        return half - _OVERHANG <= place <= 100 + _OVERHANG - half and all(
            abs(place - self.position(other)) >= half + _CHARACTER * len(text) / 2 + _LABEL_GAP
            for other, text in others.items()
            if text
        )


def _steps(reach: float) -> list[float]:
    """Return 5, 2 and 1 times powers of ten, from the reach of an axis down to its finest part."""
    power = math.floor(math.log10(reach))
    steps = [digit * 10.0 ** (power - down) for down in range(_DECADES) for digit in (5, 2, 1)]
    return [step for step in steps if step <= reach]
