"""The layout of the differences from the baseline as bars in the page's tables of verdicts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from lmlab.study.chart_scales import Scale, effect_scale, effect_values

_REACH = 46.0  # percent of the width from the middle to either end of the scale
_CHARACTER = 3.3  # percent of the least width that a character of a label takes
_SHARED = 5.0  # ratio of the ranges of two tables up to which they share a scale
_LABEL_GAP = 1.5  # percent


def forest_layout(rows: Sequence[dict[str, Any]], margin: float | None = None) -> dict[str, Any]:
    """Lay out the differences, their intervals and seeds of each table.

    All tables share one scale, unless their ranges differ by more than a factor of five. The scale
    is compressed where a few effects are much larger than the others, so that all of them are
    drawn. It always contains the margin, whose ends are ticks.

    Args:
        rows: rows of the content's ``verdicts``.
        margin: largest difference that counts as none; drawn as a band.

    Returns:
        ``is_compressed``, whether any scale is; ``is_shared``, whether all tables have one scale;
        and for each table, by the ``at`` of its rows: ``ticks`` as pairs of position and label,
        which is empty where it would overlap another; ``margins``, the ends of the band, or None;
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
        "ticks": {at: axis.ticks for at, axis in axes.items()},
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
    """The axis of one table or several: its scale, and the value at its end."""

    scale: Scale
    limit: float
    margin: float

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]], margin: float | None) -> _Axis:
        effects = [effect_values(row) for row in rows if row["difference"] is not None]
        limit = _round_up(max(_reach(rows, margin), margin or 0.0) or 1.0)
        return cls(effect_scale(effects, margin or 0.0), limit, margin or 0.0)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        found = _ticks(self.scale, self.limit, self.margin)
        return [(self.position(tick), label) for tick, label in found]

    def position(self, value: float) -> float:
        return round(50 + _REACH * self.scale.forward(value) / self.scale.forward(self.limit), 2)

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


def _ticks(scale: Scale, limit: float, margin: float) -> list[tuple[float, str]]:
    """Return the ticks from left to right: zero, the ends of the margin and of the scale.

    One more about halfway distinguishes the compressed part of a scale from the linear one.
    """
    halfway = scale.inverse(scale.forward(limit) / 2)
    inner = [] if scale.width is None else [_round_up(halfway), _round_up(halfway / 2)]
    found = {0.0: "0"}
    for tick in (margin, limit, *inner):
        if not tick or tick in found:
            continue
        label = f"{tick:+g}"
        if all(_has_room(scale, limit, tick, label, *other) for other in found.items()):
            found[tick] = label
        elif tick == margin:  # one label for both ends, at zero
            found |= {0.0: f"0 \u00b1 {margin:g}", tick: ""}
    ordered = sorted(found.items())
    mirrored = [(-tick, label.replace("+", "-")) for tick, label in reversed(ordered[1:])]
    return [*mirrored, *ordered]


def _has_room(
    scale: Scale, limit: float, tick: float, label: str, other: float, other_label: str
) -> bool:
    """Return whether the labels of two ticks on one side of zero do not overlap."""
    distance = abs(scale.forward(tick) - scale.forward(other)) * _REACH / scale.forward(limit)
    return distance >= _CHARACTER * (len(label) + len(other_label)) / 2 + _LABEL_GAP


def _round_up(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    digits = (1, 2, 5, 10)
    return next(round(digit * power, 12) for digit in digits if digit * power >= value * (1 - 1e-9))
