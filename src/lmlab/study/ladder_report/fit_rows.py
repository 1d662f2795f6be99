"""Losses by compute and the power laws through them, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladders.ladder_losses import LadderLosses, t_quantile
from lmlab.study.ladders.scaling import LadderResult
from lmlab.study.ladders.scaling_fit import ScalingFit
from lmlab.study.run_section import finite

_POINTS = 40


def loss_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return the final losses of each arm and rung, whether or not statistics use them.

    Returns:
        For each arm, ``arm``, ``is_baseline`` and ``rungs``, each with ``rung``, ``flops``, the
        ``losses`` over seeds, their ``mean`` and ``sd``, the number of ``seeds`` planned, and of
        runs that were ``lost``.
    """
    return [
        {
            "arm": arm,
            "is_baseline": arm == found.ladder.baseline,
            "rungs": [
                {
                    "rung": cell.rung,
                    "flops": found.facts.flops[arm][cell.rung],
                    "losses": list(cell.losses.values()),
                    "mean": cell.mean,
                    "sd": cell.sd,
                    "seeds": len(cell.outcomes),
                    "lost": cell.num_lost,
                }
                for cell in cells
            ],
        }
        for arm, cells in found.facts.cells.items()
    ]


def fit_rows(result: LadderResult, alpha: float) -> list[dict[str, Any]]:
    """Return the power law of each arm, with E shared and with E of its own.

    Returns:
        ``arm``, ``shared`` and ``free`` (each with ``asymptote``, its ends ``low`` and ``high``,
        ``log_amplitude`` and ``exponent``), and ``misfit`` between rungs in nats.
    """
    return [
        {
            "arm": arm,
            "shared": _law(result.ladder, result.shared, index, alpha),
            "free": _law(result.ladder.only(arm), result.free[arm], 0, alpha),
            "misfit": finite(result.misfit[arm]),
        }
        for index, arm in enumerate(result.ladder.arms)
    ]


def _law(losses: LadderLosses, fit: ScalingFit, index: int, alpha: float) -> dict[str, float]:
    return {
        **asymptote_row(losses, fit, alpha),
        "log_amplitude": float(fit.log_amplitude[index]),
        "exponent": float(fit.exponent[index]),
    }


def asymptote_row(losses: LadderLosses, fit: ScalingFit, alpha: float) -> dict[str, float]:
    """Return the ``asymptote`` of a fit, and the ends ``low`` and ``high`` of its interval.

    Args:
        losses: those that were fitted, in nats per token.
        fit: their power laws.
        alpha: probability that the interval misses.
    """
    error, freedom = losses.error(fit.influence, fit.range_error**2)
    half = float(t_quantile(alpha, freedom) * error)
    return {
        "asymptote": fit.asymptote,
        "low": max(fit.asymptote - half, losses.floor),
        "high": min(fit.asymptote + half, float(losses.mean.min())),
    }


def fitted_curves(result: LadderResult, cost: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """Return the fitted curve of each arm, with E shared, for a figure.

    Args:
        result: of the ladder.
        cost: where each curve ends; None for the last rung.
    """
    curves = []
    for index, arm in enumerate(result.ladder.arms):
        own = result.ladder.cost[arm]
        end = max(own[-1], (cost or {}).get(arm, 0.0))
        grid = np.geomspace(own[0], end, _POINTS)
        losses = result.shared.loss(index, np.log(grid))
        curves.append({"arm": arm, "flops": grid.tolist(), "loss": losses.tolist()})
    return curves


def residual_rows(result: LadderResult) -> list[dict[str, Any]]:
    """Return mean loss minus fitted loss of each arm and rung, with E shared.

    Returns:
        ``arm``, ``residuals`` in nats, and ``errors``, what noise and learning rates let expect.
    """
    residuals = result.shared.residuals(result.ladder)
    return [
        {
            "arm": arm,
            "residuals": residuals[index].tolist(),
            "errors": [math.sqrt(one) for one in result.shared.variance[index]],
        }
        for index, arm in enumerate(result.ladder.arms)
    ]
