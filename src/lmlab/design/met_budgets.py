"""Which sizes of an isoFLOP study meet their budget: runs have whole steps."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from lmlab.design.rungs import Rung

MAX_OFF = 0.05  # a run of 20 steps or more meets its budget so closely
_DECLARED = "training.flops="


def budget_of(rung: Rung, flops: Mapping[str, float]) -> float:
    """Return the compute of a budget, in FLOPs: the declared one, or the median of its sizes.

    Args:
        rung: the budget.
        flops: training compute of each size on it.
    """
    declared = [text for text in rung.overrides if text.startswith(_DECLARED)]
    if declared:
        return float(declared[-1].removeprefix(_DECLARED))
    return statistics.median(flops.values())


def off_budget(flops: Mapping[str, float], budget: float) -> dict[str, float]:
    """Return the sizes that miss their budget, with their compute over it.

    Args:
        flops: training compute of each size.
        budget: what it should be.
    """
    return {
        size: one / budget
        for size, one in flops.items()
        if not 1 / (1 + MAX_OFF) <= one / budget <= 1 + MAX_OFF
    }
