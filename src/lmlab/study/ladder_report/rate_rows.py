"""Learning rates of a ladder as plain values: how each was chosen, its drift, regret and cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.ladder import FIXED, cell_name
from lmlab.design.ladder_runs import BRACKET, LOWEST_RATE
from lmlab.design.manifest import tuning_outcomes
from lmlab.design.search import TrialOutcome
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladders.ladder_rates import bracket_losses
from lmlab.study.ladders.regret import Regret, bracket_regret, paired_regret
from lmlab.study.run_section import finite, main_purpose
from lmlab.study.shared_updates import taken_over

_SPENT = ("search", BRACKET, LOWEST_RATE, "judged")


def rate_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return the rates of each arm but the replicate, with the drift of its best rate.

    Returns:
        ``arm``, ``rungs`` (``size``, ``rate``, ``origin``, and ``low`` and ``high`` of the best
        rate, None where they are not known), ``drift`` per doubling of the size (``factor``,
        ``low``, ``high``), None without a law, and ``law`` (``size`` and ``rate`` of its line). The
        size is that of :mod:`lmlab.study.ladders.size_axis`.
    """
    ladder, rows = found.ladder, []
    for arm in ladder.arms:
        law = found.facts.rates.drift_laws.get(arm)
        drift = None if law is None else law.drift(ladder.alpha)
        sizes = list(found.facts.rates.axis.sizes)
        rows.append(
            {
                "arm": arm,
                "rungs": [
                    {
                        "size": size,
                        "rate": one.rate,
                        "origin": one.origin,
                        "low": one.low or None,
                        "high": finite(one.high),
                    }
                    for size, one in zip(sizes, found.facts.rates.cells[arm], strict=True)
                ],
                "drift": None
                if drift is None
                else {"factor": drift.factor, "low": drift.low, "high": finite(drift.high)},
                "law": None
                if law is None
                else {"size": sizes, "rate": [law.predict(size).value for size in sizes]},
            }
        )
    return rows


def search_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return the losses of each search by rate, from the lowest mean of its rung.

    Returns:
        ``arm``, ``rung`` (from 0), ``best`` rate, and ``points`` with ``rate``, ``excess`` (loss of
        each run above the lowest mean, in nats) and the number of runs ``lost``.
    """
    rows = []
    for arm in found.ladder.arms:
        for rung, cell in enumerate(found.facts.cells[arm]):
            trials = tuning_outcomes(cell_name(rung, arm), found.facts.outcomes)
            runs: dict[float, list[TrialOutcome]] = {}
            for (rate, _), outcome in sorted(trials.items()):
                if outcome.is_final:
                    runs.setdefault(rate, []).append(outcome)
            losses = {
                rate: [one.loss for one in each if one.loss is not None]
                for rate, each in runs.items()
            }
            means = [statistics.fmean(known) for known in losses.values() if known]
            if not found.ladder.searches(rung) or not means:
                continue
            points = [
                {
                    "rate": rate,
                    "excess": [loss - min(means) for loss in known],
                    "lost": len(runs[rate]) - len(known),
                }
                for rate, known in losses.items()
            ]
            rows.append({"arm": arm, "rung": rung, "best": cell.rate, "points": points})
    return rows


def regret_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return what rates cost at the highest rung that were taken from lower ones.

    Returns:
        ``arm``, ``rate``, ``evidence`` (``bracket`` or ``lowest rung's lr``), ``nats``, ``low``,
        ``high`` (None where not bounded), ``bound`` and ``best_rate``.
    """
    if found.ladder.lr == FIXED:
        return []
    rows = []
    for arm in found.ladder.arms:
        bracket = _bracket(found, arm)
        if bracket is not None:
            rows.append(_regret_row(arm, BRACKET, *bracket))
        lowest = _lowest_rate(found, arm)
        if lowest is not None:
            rows.append(_regret_row(arm, LOWEST_RATE, *lowest))
    return rows


def _regret_row(arm: str, evidence: str, rate: float, regret: Regret) -> dict[str, Any]:
    return {
        "arm": arm,
        "rate": rate,
        "evidence": evidence,
        "nats": max(regret.nats, 0.0) if evidence == BRACKET else regret.nats,
        "low": finite(regret.low),
        "high": finite(max(regret.high, 0.0) if evidence == BRACKET else regret.high),
        "bound": regret.bound,
        "best_rate": regret.best_rate,
    }


def _bracket(found: LadderStudy, arm: str) -> tuple[float, Regret] | None:
    """Return the transferred rate of an arm at the highest rung, and its regret by the bracket."""
    top = len(found.ladder.rungs) - 1
    cell = found.facts.cells[arm][top]
    losses = bracket_losses(found.facts.manifest, found.facts.outcomes, arm)
    shared = set.intersection(*map(set, losses.values())) if losses else set()
    is_whole = cell.rate in losses and 2 <= len(losses) <= 3 and bool(shared)
    if found.ladder.searches(top) or cell.rate is None or not is_whole:
        return None
    known = list(cell.losses.values())
    if len(known) < 2:
        return None
    sd, freedom = statistics.stdev(known), len(known) - 1.0
    return cell.rate, bracket_regret(losses, cell.rate, sd, freedom, found.ladder.alpha)


def _lowest_rate(found: LadderStudy, arm: str) -> tuple[float, Regret] | None:
    """Return the best rate of the lowest rung, and its regret at the highest."""
    top = len(found.ladder.rungs) - 1
    cell, rate = found.facts.cells[arm][top], found.facts.cells[arm][0].rate
    if rate is None or cell.rate is None or rate == cell.rate:
        return None
    losses = {
        record.job.seed: record.outcome.loss
        for record in found.study.records
        if record.job.arm == cell_name(top, arm)
        and record.job.lr == rate
        and LOWEST_RATE in record.purposes
        and record.outcome.loss is not None
    }
    if len(set(losses) & set(cell.losses)) < 2:
        return None
    return rate, paired_regret(losses, cell.losses, cell.rate, level=found.ladder.alpha)


def spent_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return runs, FLOPs and seconds of training by what the runs were for."""
    spent: dict[str, dict[str, float]] = {}
    cells = found.ladder.cells
    for record in found.study.records:
        if record.state == "missing":
            continue
        rung, arm = cells[record.job.arm]
        planned = float(found.ladder.rungs[rung].tokens)
        shared = taken_over(record)
        trained = (record.reached("tokens") or 0.0) - shared.tokens
        share = min(1.0, trained / planned) if planned else 0.0
        row = spent.setdefault(main_purpose(record), {"runs": 0, "flops": 0.0, "seconds": 0.0})
        row["runs"] += 1
        row["flops"] += share * found.facts.flops[arm][rung]
        row["seconds"] += (record.reached("seconds") or 0.0) - shared.seconds
    total = math.fsum(row["flops"] for row in spent.values())
    return [
        {"purpose": purpose, **spent[purpose], "share": spent[purpose]["flops"] / total}
        for purpose in _SPENT
        if purpose in spent and total
    ]


def has_rates(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether any rate is known."""
    return any(one["rate"] is not None for row in rows for one in row["rungs"])
