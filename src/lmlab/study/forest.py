"""The layout of the differences from the baseline as bars in the page's tables of verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lmlab.study.chart_scales import effect_scale

_REACH = 46.0  # percent of the width from the middle to either end of the scale


def forest_layout(rows: Sequence[dict[str, Any]], margin: float | None = None) -> dict[str, Any]:
    """Lay out differences, intervals and seeds on one scale for all tables of verdicts.

    The scale is compressed where a few effects are much larger than the others, so that all of them
    are drawn.

    Args:
        rows: rows of the content's ``verdicts``.
        margin: largest difference that counts as none; drawn as a band.

    Returns:
        ``ticks`` as pairs of position and label; ``is_compressed``; ``margin``, the ends of the
        band, or None; and ``rows`` for each table: the positions of both ends of the interval, of
        the difference and of every seed, in percent of the width. A row without a difference is
        None.
    """
    known = [row for row in rows if row["difference"] is not None]
    effects = [_values(row) for row in known]
    scale = effect_scale(effects, margin)
    limit = _round_up(max((abs(value) for values in effects for value in values), default=1.0))
    # One more tick halfway, to tell the compressed part from the linear one.
    inner = [] if scale.width is None else [_round_up(scale.inverse(scale.forward(limit) / 2) / 2)]

    def position(value: float) -> float:
        return round(50 + _REACH * scale.forward(value) / scale.forward(limit), 2)

    def positions(row: dict[str, Any]) -> dict[str, Any]:
        has_interval = row["low"] is not None and row["high"] is not None
        return {
            "low": position(row["low"]) if has_interval else None,
            "high": position(row["high"]) if has_interval else None,
            "difference": position(row["difference"]),
            "seeds": [position(value) for value in row.get("differences", [])],
        }

    marked = [*(-tick for tick in (limit, *inner)), 0.0, *reversed((limit, *inner))]
    return {
        "ticks": [(position(tick), f"{tick:+g}" if tick else "0") for tick in marked],
        "is_compressed": scale.width is not None,
        "margin": _band(limit, margin, position),
        "rows": {
            at: [positions(row) if row in known else None for row in rows if row["at"] == at]
            for at in dict.fromkeys(row["at"] for row in rows)
        },
    }


def _values(row: dict[str, Any]) -> list[float]:
    found = [row["difference"], row["low"], row["high"], *row.get("differences", [])]
    return [value for value in found if value is not None and math.isfinite(value)]


def _band(limit: float, margin: float | None, position: Callable[[float], float]) -> Any:
    if not margin:
        return None
    end = min(margin, limit)
    return position(-end), position(end)


def _round_up(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    digits = (1, 2, 5, 10)
    return next(round(digit * power, 12) for digit in digits if digit * power >= value * (1 - 1e-9))
