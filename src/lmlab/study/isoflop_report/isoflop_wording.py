"""How numbers of an isoFLOP study read: sizes, tokens and losses with intervals or bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lmlab.console.formatting import format_rounded
from lmlab.study.ladder_report.wording import factor_text
from lmlab.study.ladders.isoflop_optimum import AT_LEAST, AT_MOST, FLAT

NOT_LOCATED = "not located"
_OPPOSITE = {AT_LEAST: AT_MOST, AT_MOST: AT_LEAST}


def loss_text(value: float) -> str:
    """Return a loss in nats per token."""
    return f"{value:.4f}"


def exponent_text(value: float) -> str:
    """Return an exponent."""
    return f"{value:.3f}"


def ends_text(row: Mapping[str, Any], text: Callable[[float], str]) -> str:
    """Return the ends of an interval; an end that is None is not bounded."""
    low, high = row["low"], row["high"]
    if low is None and high is None:
        return "not bounded"
    if high is None:
        return f"{text(low)} or more"
    return f"{text(high)} or less" if low is None else f"{text(low)} to {text(high)}"


def with_ends(
    row: Mapping[str, Any], text: Callable[[float], str], unit: str = "", label: str = ""
) -> str:
    """Return a value with its unit, and with its interval in parentheses; empty if not known."""
    if row["value"] is None:
        return ""
    ends = "" if row["low"] is None and row["high"] is None else f" ({label}{ends_text(row, text)})"
    return f"{text(row['value'])}{unit}{ends}"


def quantity_text(
    optimum: Mapping[str, Any], quantity: str, unit: str = "", label: str = ""
) -> str:
    """Return a quantity of the best size: with its interval, as a bound, or as not located.

    Args:
        optimum: of :func:`lmlab.study.isoflop_report.isoflop_rows.optimum_rows`.
        quantity: ``parameters``, ``tokens`` or ``tokens_per_parameter``.
        unit: what follows the value.
        label: what precedes the interval.
    """
    text = factor_text if quantity == "tokens_per_parameter" else format_rounded
    row, bound = optimum[quantity], optimum["bound"]
    if bound == FLAT:
        return NOT_LOCATED
    if bound:
        side = bound if quantity == "parameters" else _OPPOSITE[bound]
        exact = text if quantity == "tokens_per_parameter" else "{:,.0f}".format
        return f"{side} {exact(row['value'])}{unit}"
    return with_ends(row, text, unit, label)
