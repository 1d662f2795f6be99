"""Losses, curves, best sizes and their laws of an isoFLOP study as plain values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lmlab.design.ladder import cell_name
from lmlab.study.isoflop_report.isoflop_study import IsoflopStudy
from lmlab.study.ladder_report.fit_rows import asymptote_row, loss_rows
from lmlab.study.ladders.isoflop import IsoflopResult, OptimumLaw
from lmlab.study.ladders.isoflop_curves import Budget, skewed_curve
from lmlab.study.ladders.isoflop_optimum import Optimum
from lmlab.study.ladders.loss_forecast import Forecast
from lmlab.study.run_section import finite

_POINTS = 41  # of a curve


def size_rows(found: IsoflopStudy) -> list[dict[str, Any]]:
    """Return the losses of each size at each budget, whether or not the analysis uses them.

    Returns:
        Rows of :func:`lmlab.study.ladder_report.fit_rows.loss_rows`, with ``parameters`` for each
        size, and ``tokens``, ``rate`` and whether it is ``left_out`` for each budget; None where
        they are not known.
    """
    ladder_study, rows = found.ladder_study, loss_rows(found.ladder_study)
    costs = ladder_study.study.arm_costs
    for row in rows:
        row["parameters"] = _cost(costs.get(cell_name(0, row["arm"])), "parameters")
        for cell in row["rungs"]:
            name = cell_name(cell["rung"], row["arm"])
            cell["tokens"] = _cost(costs.get(name), "tokens")
            cell["rate"] = ladder_study.facts.cells[row["arm"]][cell["rung"]].rate
            cell["left_out"] = name in found.budgets.left_out
    return sorted(rows, key=lambda row: row["parameters"] or 0)


def _cost(costs: Any, key: str) -> int | None:
    return None if costs is None else int(costs[key])


def optimum_rows(found: IsoflopStudy) -> list[dict[str, Any]]:
    """Return the best size of each budget.

    Returns:
        ``rung``, from 0; ``flops``; ``bound`` of
        :class:`lmlab.study.ladders.isoflop_optimum.Optimum`; and ``parameters``, ``tokens``,
        ``tokens_per_parameter`` and ``loss``, each with ``value``, ``low`` and ``high``, None where
        they are not bounded or not known.
    """
    if found.result is None:
        return []
    rungs = {budget.flops: rung for rung, budget in found.budgets.budgets.items()}
    return [
        {
            "rung": rungs[one.flops],
            "flops": one.flops,
            "bound": one.bound,
            "parameters": _interval(one.parameters),
            "tokens": _interval(one.tokens),
            "tokens_per_parameter": _ratio(one),
            "loss": _interval(one.loss),
        }
        for one in found.result.optima
    ]


def _interval(one: Forecast) -> dict[str, float | None]:
    low = one.low if one.low > 0 else math.nan
    return {"value": finite(one.value), "low": finite(low), "high": finite(one.high)}


def _ratio(one: Optimum) -> dict[str, float | None]:
    """Return tokens per parameter: both change together, so that its ends are theirs."""

    def part(tokens: float, parameters: float) -> float | None:
        known = math.isfinite(tokens) and math.isfinite(parameters) and parameters > 0 < tokens
        return tokens / parameters if known else None

    return {
        "value": part(one.tokens.value, one.parameters.value),
        "low": part(one.tokens.low, one.parameters.high),
        "high": part(one.tokens.high, one.parameters.low),
    }


def curve_rows(found: IsoflopStudy) -> list[dict[str, Any]]:
    """Return the curve of each budget: ``rung``, ``parameters`` and ``loss``."""
    if found.result is None:
        return []
    skew = found.result.curves.skew
    return [
        {"rung": rung, **fitted_curve(budget, skew)}
        for rung, budget in sorted(found.budgets.budgets.items())
    ]


def fitted_curve(budget: Budget, skew: float) -> dict[str, list[float]]:
    """Return the curve of a budget over its sizes: a parabola, with the skew about its minimum."""
    curve = skewed_curve(budget, skew)
    grid = np.linspace(curve.x[0], curve.x[-1], _POINTS)
    losses = np.array([curve.value(x) for x in grid])
    if curve.is_inside:
        losses = losses + skew * curve.bend * (grid - curve.vertex) ** 3
    return {"parameters": np.exp(grid).tolist(), "loss": losses.tolist()}


def law_rows(found: IsoflopStudy) -> list[dict[str, Any]]:
    """Return the power laws of the best size and of its tokens in the compute.

    Returns:
        ``quantity`` (``parameters`` or ``tokens``); the ``exponent`` and the ``factor`` per tenfold
        compute, each with ``value``, ``low`` and ``high``; whether minima are ``off`` the law by
        more than their errors explain; and ``flops``, ``line``, ``band_low`` and ``band_high``
        between the outermost budgets whose minimum is located. Empty with fewer than two of them.
    """
    result, level = found.result, found.ladder_study.ladder.alpha
    if result is None or result.parameters is None or result.tokens is None:
        return []
    located = [one.flops for one in result.optima if one.is_located]
    grid = np.geomspace(min(located), max(located), _POINTS).tolist()
    return [
        _law(quantity, law, grid, level)
        for quantity, law in (("parameters", result.parameters), ("tokens", result.tokens))
    ]


def _law(quantity: str, law: OptimumLaw, grid: list[float], level: float) -> dict[str, Any]:
    exponent = law.exponent(level)
    line = [law.predict(flops, level) for flops in grid]
    factors = (10**one for one in (exponent.value, exponent.low, exponent.high))
    return {
        "quantity": quantity,
        "exponent": {"value": exponent.value, "low": exponent.low, "high": exponent.high},
        "factor": dict(zip(("value", "low", "high"), factors, strict=True)),
        "off": law.is_off,
        "flops": grid,
        "line": [one.value for one in line],
        "band_low": [one.low for one in line],
        "band_high": [one.high for one in line],
    }


def loss_law(result: IsoflopResult | None, alpha: float) -> dict[str, float] | None:
    """Return the power law of the loss at the best size; None with fewer than three of them.

    Returns:
        ``asymptote`` with its ends ``low`` and ``high``, ``amplitude`` in nats at the compute
        ``flops`` of the lowest located minimum, and ``exponent``.
    """
    if result is None or result.losses is None or result.loss_law is None:
        return None
    losses, fit = result.losses, result.loss_law
    flops = float(next(iter(losses.cost.values()))[0])
    exponent = float(fit.exponent[0])
    return {
        **asymptote_row(losses, fit, alpha),
        "amplitude": math.exp(float(fit.log_amplitude[0]) - exponent * math.log(flops)),
        "flops": flops,
        "exponent": exponent,
    }
