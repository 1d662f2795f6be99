"""How numbers of a ladder read: gains with their intervals or bounds, compute, cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lmlab.study.ladders.compute_gain import as_factor

UNBOUNDED = "not bounded"


def factor_text(value: float) -> str:
    """Return a factor with three digits: ``1.00``, ``0.932``, ``12.3``, ``1,230``."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:#.3g}"


def power_text(value: float) -> str:
    """Return a large number as ``6.5e8``."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def gain_text(row: Mapping[str, Any]) -> str:
    """Return a gain: ``1.32``, ``at least 2.1`` or ``not known``.

    Args:
        row: of :func:`lmlab.study.ladder_report.gain_rows.gain_row`.
    """
    if row["gain"] is not None:
        return factor_text(row["gain"])
    return f"{row['bound']} {factor_text(row['bound_gain'])}"


def interval_text(low: float | None, high: float | None) -> str:
    """Return an interval of a factor; an end that is not bounded is None."""
    if low is None and high is None:
        return UNBOUNDED
    if high is None:
        return f"{_end(low or 0.0)} or more"
    if low is None:
        return f"{_end(high)} or less"
    if low <= 1 <= high:
        return f"{factor_text(low)} to {factor_text(high)}"
    return f"{_end(low)} to {_end(high)}"


def _end(value: float) -> str:
    """Return the end of an interval that excludes 1, with the digits that tell it from 1."""
    text = factor_text(value)
    return f"{value:.4f}" if text == "1.00" else text


def with_interval(row: Mapping[str, Any]) -> str:
    """Return a gain with its interval in parentheses."""
    return f"{gain_text(row)} ({interval_text(row['low'], row['high'])})"


def nats_interval(row: Mapping[str, Any]) -> str:
    """Return the interval of a loss in nats; an end that is None is not bounded."""
    low, high = (UNBOUNDED if row[key] is None else f"{row[key]:.4f}" for key in ("low", "high"))
    return f"{low} to {high}"


def bounded(log_value: float) -> float | None:
    """Return a factor from its logarithm; None where it is not bounded or not known."""
    if not math.isfinite(log_value):
        return None
    return as_factor(log_value)


def rung_name(rung: int) -> str:
    """Return the name of a rung, counted from 0: ``r1`` for the lowest."""
    return f"r{rung + 1}"


def cost_ticks(low: float, high: float, most: int) -> dict[float, str]:
    """Return round costs within a range, evenly spread on a logarithmic axis, with their labels.

    Args:
        low: lower end of the range.
        high: upper end.
        most: largest number of ticks.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(found) < 2:
        round_costs = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        found = [cost for cost in round_costs if low <= cost <= high]
    step = math.ceil(len(found) / most)
    return {
        cost: f"{cost:g}" if 0.01 <= cost < 1e4 else power_text(cost).replace(".0e", "e")
        for cost in found[::step]
    }
