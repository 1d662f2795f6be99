"""Seeds that agree while a few others are far off, so that mean and spread describe neither.

The rule is lmlab's own. It compares gaps with ranges, because a standard deviation would contain
the outliers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_MIN_VALUES, _MIN_AGREEING = 4, 3
# The distance from the agreeing values at which others are far off, in multiples of their range, by
# number of values. By simulation, about one normal sample in a hundred has such values.
_FAR = {4: 12.0, 5: 12.0, 6: 13.0}
_FAR_OF_MANY = 5.0


def find_agreeing(values: Sequence[float], margin: float) -> tuple[int, ...] | None:
    """Return the indices of the values that agree where all others are far off.

    At least half of the values and three of them agree. The others differ from each of these by
    more than ``margin``, and by a multiple of their range.

    Returns:
        The indices in ascending order, of the group that is most clearly separated; None where no
        value is far off.
    """
    number = len(values)
    if number < _MIN_VALUES:
        return None
    order = sorted(range(number), key=lambda index: values[index])
    far = _FAR.get(number, _FAR_OF_MANY)
    best: tuple[float, tuple[int, ...]] | None = None
    for size in range(number - 1, max(_MIN_AGREEING, (number + 1) // 2) - 1, -1):
        for start in range(number - size + 1):
            group = order[start : start + size]
            low, high = values[group[0]], values[group[-1]]
            gaps = [low - values[order[start - 1]]] if start else []
            if start + size < number:
                gaps.append(values[order[start + size]] - high)
            gap, spread = min(gaps), high - low
            if gap <= max(far * spread, margin):
                continue
            separation = gap / spread if spread else math.inf
            if best is None or separation > best[0]:
                best = separation, tuple(sorted(group))
    return None if best is None else best[1]
