"""The noise of effects that were measured once, from the effects themselves: Lenth (1989).

Most effects of a design are small. Their typical size is thus a measure of noise, which needs no
repeated runs: the pseudo standard error of Lenth (1989, Technometrics 31(4), 469-473). It is the
only one that a study of one seed has.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from scipy import special

MIN_EFFECTS = 7  # fewer do not tell the small ones from the others
_TRIMMED = 2.5  # times the first estimate, beyond which an effect is taken for a real one
_NORMAL = 1.5  # about the standard deviation of normal noise by its median absolute value


@dataclasses.dataclass(frozen=True)
class Lenth:
    """The noise of the effects of a design.

    Attributes:
        error: pseudo standard error of an effect.
        margin: margin of error, which a single effect of zero exceeds with probability alpha.
        simultaneous: simultaneous margin of error, which the largest of all exceeds so.
    """

    error: float
    margin: float
    simultaneous: float


def lenth(effects: Sequence[float], alpha: float) -> Lenth | None:
    """Return the noise of effects with equal standard errors; None for fewer than seven.

    Args:
        effects: all effects that a design separates, in the unit of the metric.
        alpha: level of the margins of error.
    """
    number = len(effects)
    if number < MIN_EFFECTS:
        return None
    sizes = [abs(one) for one in effects]
    first = _NORMAL * statistics.median(sizes)
    small = [size for size in sizes if size < _TRIMMED * first]
    error = _NORMAL * statistics.median(small) if small else 0.0
    freedom = number / 3
    share = (1 - alpha) ** (1 / number)
    each, together = (
        float(special.stdtrit(freedom, probability)) * error
        for probability in (1 - alpha / 2, (1 + share) / 2)
    )
    return Lenth(error, each, together)


def half_normal_quantiles(number: int) -> list[float]:
    """Return where ordered sizes of normal noise are expected, in standard deviations.

    The i-th smallest of m absolute values is plotted at the quantile 0.5 + (i - 0.5) / (2 m) of the
    normal distribution (Daniel 1959, Technometrics 1(4)).
    """
    return [float(special.ndtri(0.5 + (rank + 0.5) / (2 * number))) for rank in range(number)]


def is_far(effect: float, found: Lenth | None) -> bool:
    """Whether an effect exceeds the simultaneous margin of error."""
    return found is not None and math.isfinite(effect) and abs(effect) > found.simultaneous
