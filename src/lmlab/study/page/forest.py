"""The layout of the differences from the baseline as bars in the page's tables of verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lmlab.study.chart_scales import Scale, effect_scale, effect_values

_REACH = 46.0  # percent of the width from the middle to either end of the scale
_CHARACTER = 3.3  # percent of the least width that a character of a label takes
_LABEL_GAP = 1.5  # percent


def forest_layout(rows: Sequence[dict[str, Any]], margin: float | None = None) -> dict[str, Any]:
    """Lay out the differences, their intervals and seeds on one scale, which all tables share.

    The scale is compressed where a few effects are much larger than the others, so that all of them
    are drawn. It always contains the margin, whose ends are ticks.

    Args:
        rows: rows of the content's ``verdicts``.
        margin: largest difference that counts as none; drawn as a band.

    Returns:
        ``ticks`` as pairs of position and label, which is empty where it would overlap another;
        ``is_compressed``; ``margin``, the ends of the band, or None; and ``rows`` for each table,
        by the ``at`` of its rows: the positions of both ends of the interval, of the difference and
        of every seed, in percent of the width. A row without a difference is None.
    """
    effects = [effect_values(row) for row in rows if row["difference"] is not None]
    margin = margin or 0.0
    scale = effect_scale(effects, margin)
    largest = max((abs(value) for values in effects for value in values), default=0.0)
    limit = _round_up(max(largest, margin) or 1.0)

    def position(value: float) -> float:
        return round(50 + _REACH * scale.forward(value) / scale.forward(limit), 2)

    def positions(row: dict[str, Any]) -> dict[str, Any] | None:
        if row["difference"] is None:
            return None
        has_interval = row["low"] is not None and row["high"] is not None
        return {
            "low": position(row["low"]) if has_interval else None,
            "high": position(row["high"]) if has_interval else None,
            "difference": position(row["difference"]),
            "seeds": [position(value) for value in row.get("differences", [])],
        }

    return {
        "ticks": [(position(tick), label) for tick, label in _ticks(scale, limit, margin)],
        "is_compressed": scale.width is not None,
        "margin": (position(-margin), position(margin)) if margin else None,
        "rows": {
            at: [positions(row) for row in rows if row["at"] == at]
            for at in dict.fromkeys(row["at"] for row in rows)
        },
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
