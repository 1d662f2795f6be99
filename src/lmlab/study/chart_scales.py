"""Scales on which small and huge values are legible side by side, for figures and the page.

Both scales are linear near a point of interest and logarithmic far from it: f(x) = asinh(x / w).
Differences from a baseline are scaled around zero, losses around the best one. Values that are all
of one order of magnitude get a linear scale.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis

_SMALL = 0.3  # quantile of the sizes that represents the small ones
_OUTLYING = 10.0  # times the small size; a scale that reaches further is compressed
_TICK_STEPS = [digit * 10.0**power for power in range(6, -7, -1) for digit in (5, 2, 1)]
_LABEL_WIDTH, _LABEL_HEIGHT = 0.12, 0.09  # of the length of an axis
_MAX_TICKS_PER_STEP = 100  # on either side of the origin


@dataclasses.dataclass(frozen=True)
class Scale:
    """A scale around an origin.

    Attributes:
        origin: the value around which the scale is linear.
        width: distance from the origin at which the scale turns logarithmic; None for a linear
            scale.
    """

    origin: float
    width: float | None

    def forward(self, value: float) -> float:
        """Return the position of a value; only its order and ratios of distances matter."""
        if self.width is None:
            return value - self.origin
        return math.asinh((value - self.origin) / self.width)

    def inverse(self, position: float) -> float:
        """Return the value at a position."""
        if self.width is None:
            return self.origin + position
        return self.origin + self.width * math.sinh(position)


def effect_values(row: Mapping[str, Any]) -> list[float]:
    """Return what is drawn of a row of verdicts: the difference, its interval, and every seed."""
    found = [row["difference"], row["low"], row["high"], *row.get("differences", [])]
    return [value for value in found if value is not None and math.isfinite(value)]


def effect_scale(effects: Iterable[Sequence[float]], margin: float | None = None) -> Scale:
    """Return a scale around zero for differences, compressed if some are much larger than others.

    Args:
        effects: the values to draw of each effect, such as a mean and its interval.
        margin: largest difference that counts as none; effects far below it look alike.
    """
    least = (margin or 0.0) / 2
    sizes = [max((abs(value) for value in one), default=0.0) for one in effects]
    return _scale(0.0, [max(size, least) for size in sizes])


def loss_scale(losses: Iterable[float]) -> Scale:
    """Return a scale for losses: around the best, and compressed if some are much worse."""
    known = list(losses)
    best = min(known)
    return _scale(best, [loss - best for loss in known])


def _scale(origin: float, sizes: Sequence[float]) -> Scale:
    sizes = sorted(size for size in sizes if size > 0)
    if not sizes:
        return Scale(origin, None)
    small = sizes[int(_SMALL * (len(sizes) - 1))]
    return Scale(origin, small if sizes[-1] > _OUTLYING * small else None)


def set_scale(
    axes: Axes, axis: str, scale: Scale, low: float, high: float, marked: Sequence[float] = ()
) -> None:
    """Apply a scale to an axis that shows the range from ``low`` to ``high``.

    Args:
        axes: the axes.
        axis: ``x`` or ``y``.
        scale: the scale.
        low: lower end of the range.
        high: upper end of the range.
        marked: values that get a tick before others.
    """
    if scale.width is not None:
        origin, width = scale.origin, scale.width
        getattr(axes, f"set_{axis}scale")(
            "function",
            functions=(
                lambda values: np.arcsinh((values - origin) / width),
                lambda positions: origin + width * np.sinh(positions),
            ),
        )
    getattr(axes, f"set_{axis}lim")(low, high)
    if scale.width is not None or marked:
        chosen: Axis = getattr(axes, f"{axis}axis")
        found = ticks(scale, low, high, _LABEL_WIDTH if axis == "x" else _LABEL_HEIGHT, marked)
        chosen.set_ticks(found, [f"{tick:g}" for tick in found])
        chosen.set_ticks([], minor=True)


def limits(scale: Scale, values: Iterable[float], margin: float = 0.06) -> tuple[float, float]:
    """Return the range of the values, widened by a fraction of its length on the scale."""
    known = list(values)
    low, high = min(known), max(known)
    if low == high:
        return low - max(abs(low), 1.0) * 1e-3, high + max(abs(high), 1.0) * 1e-3
    first, last = scale.forward(low), scale.forward(high)
    extra = margin * (last - first)
    return scale.inverse(first - extra), scale.inverse(last + extra)


def ticks(
    scale: Scale, low: float, high: float, gap: float = _LABEL_HEIGHT, marked: Sequence[float] = ()
) -> list[float]:
    """Return round values in a range, none closer on the scale than a fraction of its length.

    Values of ``marked`` come first, then coarse steps, so that the compressed part gets round
    numbers and the linear part is filled with finer ones.
    """
    return round_values(scale.forward, scale.origin, low, high, gap, marked)


def log_ticks(low: float, high: float, gap: float = _LABEL_HEIGHT) -> list[float]:
    """Return round values for a logarithmic axis; see :func:`ticks`."""
    return round_values(math.log, low, low, high, gap)


def round_values(
    forward: Callable[[float], float], finest: float, low: float, high: float, gap: float,
    marked: Sequence[float] = (),
) -> list[float]:  # fmt: skip
    """Return the ticks of any scale.

    Args:
        forward: position of a value.
        finest: the value around which the scale has the highest resolution.
        low: lower end of the range.
        high: upper end of the range.
        gap: least distance of two ticks, as a fraction of the length of the range.
        marked: values that come first.
    """
    first = forward(low)
    length = forward(high) - first
    found: dict[float, float] = {}  # position by value
    if low <= 0 <= high:  # of several candidates, zero is the one that readers look for
        found[0.0] = (forward(0.0) - first) / length
    for value in marked:
        position = (forward(value) - first) / length
        if low <= value <= high and all(abs(position - one) >= gap for one in found.values()):
            found[value] = position
    for step in _TICK_STEPS:
        if forward(finest + step) - forward(finest) < gap * length:
            break
        middle = round(finest / step)
        start = max(math.ceil(low / step), middle - _MAX_TICKS_PER_STEP)
        stop = min(math.floor(high / step), middle + _MAX_TICKS_PER_STEP)
        for number in range(start, stop + 1):
            value = float(f"{number * step:.12g}")
            if value <= 0 < low:
                continue
            position = (forward(value) - first) / length
            if all(abs(position - other) >= gap for other in found.values()):
                found[value] = position
    return sorted(found)
