"""Sealed forecasts beside what the rung then showed, and whether the seal can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.wording import rung_name
from lmlab.study.ladders.compute_gain import as_factor
from lmlab.study.ladders.seals import SEALS_FILE, Seal, hash_of_results, started_before
from lmlab.study.statistics import level_name

_SHOWN = 6


def seal_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return each seal that concerns a rung of this ladder, with the results.

    Returns:
        ``rung``, from 0; ``time``, ``level``, ``reason`` and ``problems`` of the seal; ``is_own``,
        whether this ladder made it, perhaps in another folder; ``rows`` with ``arm``, ``quantity``
        (``loss`` or ``gain``), ``value``, ``low``, ``high``, ``actual`` (None where not known yet)
        and ``is_inside``. ``loss`` is in nats per token, ``gain`` a factor.
    """
    rows = []
    sealed: set[tuple[int, str]] = set()  # rung and arm of seals before
    for seal in found.seals.seals:
        number = seal.rung - 1
        if number >= len(found.ladder.rungs):
            continue
        is_same = _rests_on_these(found, seal)
        is_own = seal.sweep == found.facts.manifest.id or (
            is_same and seal.rung == len(found.ladder.rungs) and _has_all_arms(found, seal)
        )
        if not is_own and not is_same:
            continue  # of another ladder in the folder of the study
        fresh = [arm for arm in seal.arms if (number, arm) not in sealed]
        rows.append(
            {
                "rung": number,
                "time": seal.time,
                "level": 1 - seal.alpha,
                "reason": seal.reason,
                "is_own": is_own,
                "problems": _problems(found, seal, fresh, is_same),
                "rows": list(_compared(found, seal, fresh)),
            }
        )
        sealed |= {(number, arm) for arm in seal.arms}
    return rows


def _rests_on_these(found: LadderStudy, seal: Seal) -> bool:
    """Whether a seal was made from the results that the rungs below have now."""
    return seal.results == hash_of_results(found.facts, seal.rung - 1, seal.arms)


def _has_all_arms(found: LadderStudy, seal: Seal) -> bool:
    return set(seal.arms) == set(found.ladder.judged_arms)


def _problems(found: LadderStudy, seal: Seal, arms: Sequence[str], is_same: bool) -> list[str]:
    """Return why a seal proves less than it should; see also ``SealFile.problems``."""
    cells = found.ladder.cells
    starts = {
        record.job.name: record.started
        for record in found.study.records
        if cells[record.job.arm][0] == seal.rung - 1 and cells[record.job.arm][1] in arms
    }
    early, problems = started_before(seal, starts), []
    if early:
        more = f" and {len(early) - _SHOWN} more" if len(early) > _SHOWN else ""
        problems.append(
            f"{format_count(len(early), 'run')} of {rung_name(seal.rung - 1)} started before the "
            f"seal of {seal.time}, so that it forecasts nothing: {', '.join(early[:_SHOWN])}{more}."
        )
    if not is_same:
        problems.append(
            f"The rungs below {rung_name(seal.rung - 1)} have other results now than those that "
            f"the seal of {seal.time} rests on."
        )
    unknown = sum(
        not record.started and record.outcome.is_final
        for record in found.study.records
        if record.job.name in starts
    )
    if unknown:
        problems.append(
            f"When {format_count(unknown, 'run')} of {rung_name(seal.rung - 1)} started is not "
            "recorded, so that it is not certain that the seal came first."
        )
    return problems


def _compared(found: LadderStudy, seal: Seal, arms: Sequence[str]) -> Iterator[dict[str, Any]]:
    number = seal.rung - 1
    for arm, forecast in seal.losses.items():
        if arm not in arms or arm not in found.facts.cells:
            continue
        cell = found.facts.cells[arm][number]
        actual = cell.mean if cell.is_complete and len(cell.losses) > 1 else None
        yield _row(arm, "loss", forecast.value, forecast.low, forecast.high, actual)
    for arm, forecast in seal.log_gains.items():
        if arm not in arms:
            continue
        value, low, high = map(as_factor, (forecast.value, forecast.low, forecast.high))
        yield _row(arm, "gain", value, low, high, _gain(found, arm, number))


def _gain(found: LadderStudy, arm: str, rung: int) -> float | None:
    """Return the measured gain of a rung; that at the end of the ladder where it is a bound."""
    if found.result is None or rung >= found.num_analysed:
        return None
    gains = found.result.gains.get(arm)
    if not gains:
        return None
    gain = gains[rung]
    return as_factor(gain.bound_log_gain if gain.bound else gain.log_gain)


def _row(
    arm: str, quantity: str, value: float, low: float, high: float, actual: float | None
) -> dict[str, Any]:
    return {
        "arm": arm,
        "quantity": quantity,
        "value": value,
        "low": low,
        "high": high,
        "actual": actual,
        "is_inside": None if actual is None else low <= actual <= high,
    }


def inside_share(rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return how many of the compared forecasts were met, and how many were compared."""
    known = [one["is_inside"] for one in rows if one["is_inside"] is not None]
    return sum(known), len(known)


def seal_sentences(found: LadderStudy, seals: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the headline says of the seals: shares inside, or what is wrong with them."""
    lines = [*found.seals.problems, *(problem for seal in seals for problem in seal["problems"])]
    own = [seal for seal in seals if seal["is_own"]]
    top = rung_name(len(found.ladder.rungs) - 1)
    for seal in own:
        inside, number = inside_share(seal["rows"])
        level = level_name(seal["level"])
        if number:
            first = "" if seal["problems"] or found.seals.problems else ", sealed before it started"
            lines.append(
                f"Forecasts of {top}{first}: {inside} of {number} results are within their {level} "
                "intervals."
            )
        elif seal["reason"]:
            lines.append(f"No forecast of {top} was made: {seal['reason']}.")
        elif seal["rows"]:
            lines.append(f"Forecasts of {top} are sealed since {seal['time']}.")
    if not own and found.ladder.sealed and found.facts.num_complete >= len(found.ladder.rungs):
        lines.append(
            f"No sealed forecast of {top} was found in {SEALS_FILE}, although the ladder declares "
            "one."
        )
    return lines
