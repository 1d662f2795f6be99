"""The headline of a ladder: the verdict on each arm in words, and what limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.ladder_runs import describe_rates
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.rung_rows import progress_line
from lmlab.study.ladder_report.seal_rows import seal_sentences
from lmlab.study.ladder_report.verdict_rows import NO_VERDICT, lost_reason
from lmlab.study.ladder_report.wording import (
    factor_text,
    gain_text,
    interval_text,
    power_text,
    rung_name,
    with_interval,
)
from lmlab.study.ladders.ladder_verdict import CANNOT_TELL
from lmlab.study.statistics import level_name
from lmlab.study.verdicts import arm_phrase


def headline(
    found: LadderStudy,
    verdicts: Sequence[Mapping[str, Any]],
    gains: Mapping[str, Mapping[str, Any]],
    seals: Sequence[dict[str, Any]],
    certificates: Sequence[str] = (),
) -> list[str]:
    """Return the sentences of the headline.

    Args:
        found: the ladder.
        verdicts: its rows of verdicts.
        gains: its rows of gains, by arm.
        seals: its rows of seals.
        certificates: sentences on learning rates, which answer the question of a ladder that has
            any.
    """
    lines = list(certificates)
    lines += [_scope(found)] if verdicts and found.result is not None else []
    progress = progress_line(found)
    lines += [progress] if progress else []
    lines += _of_baseline(found)
    for row in verdicts:
        lines.append(
            _of_replicate(found, row, gains.get(row["arm"]))
            if row["is_replicate"]
            else _of_arm(row, gains.get(row["arm"]))
        )
    if not verdicts:
        lines.append("The ladder has one arm, so that it shows its losses and no gains.")
    lines += seal_sentences(found, seals)
    return [*lines, describe_rates(found.ladder)]


def _scope(found: LadderStudy) -> str:
    """Return what a gain is, and over which compute the verdicts speak."""
    rungs = found.ladder.rungs[: found.num_analysed]
    name, level = arm_phrase(found.ladder.baseline), level_name(1 - found.ladder.alpha)
    return (
        f"The gain of an arm is how many times the training compute {name} needs for the same "
        f"loss; below 1, the arm is worse. Verdicts are about {power_text(rungs[0].flops)} to "
        f"{power_text(rungs[-1].flops)} FLOPs ({rung_name(0)} to {rung_name(len(rungs) - 1)}); "
        f"intervals have the level {level}."
    )


def _of_baseline(found: LadderStudy) -> list[str]:
    """Return why nothing is compared above the rung on which the baseline has no losses."""
    lost = found.facts.lost_arms(found.facts.num_complete).get(found.ladder.baseline)
    if not lost:
        return []
    name = arm_phrase(found.ladder.baseline)
    reason = lost_reason(found.facts.cells[found.ladder.baseline][lost[0]])
    rest = (
        f"verdicts rest on {rung_name(0)} to {rung_name(lost[0] - 1)}"
        if lost[0] > 1
        else "nothing is compared with it"
    )
    start = "The baseline" if name == "the baseline" else f"The baseline, {name},"
    return [f"{start} lacks two losses on {rung_name(lost[0])} ({reason}), so that {rest}."]


def _of_arm(row: Mapping[str, Any], gains: Mapping[str, Any] | None) -> str:
    if row["verdict"] == NO_VERDICT:
        last = _last_gain(gains)
        return f"{row['arm']}: no verdict: {row['advice']}{f'; {last}' if last else ''}."
    parts = [f"{row['arm']}: {row['sentence']}", _last_gain(gains), _change(gains)]
    text = "; ".join(part for part in parts if part)
    if row["verdict"] == CANNOT_TELL:
        return f"{text}. {row['advice'][0].upper()}{row['advice'][1:]}."
    return f"{text}."


def _last_gain(gains: Mapping[str, Any] | None) -> str:
    """Return the gain at the highest rung as a clause."""
    if gains is None:
        return ""
    last = gains["rungs"][-1]
    return f"gain {with_interval(last)} at {rung_name(last['rung'])}"


def _change(gains: Mapping[str, Any] | None) -> str:
    """Return how the gain changes per tenfold compute, as a clause."""
    trend = None if gains is None else gains["trend"]
    if trend is None:
        return ""
    ends = interval_text(trend["low"], trend["high"])
    return f"it changes by a factor of {factor_text(trend['factor'])} ({ends}) per tenfold compute"


def _of_replicate(
    found: LadderStudy, row: Mapping[str, Any], gains: Mapping[str, Any] | None
) -> str:
    """State whether the intervals of the replicate contain its true gain, 1."""
    start = f"Replicate ({row['arm']}: the baseline retrained with different seeds)"
    if gains is None:
        return f"{start}: no gains: {row['advice']}."
    off = [one for one in gains["rungs"] if not contains_one(one)]
    if not off:
        return f"{start}: its intervals contain 1, the true gain, at every rung."
    listed = ", ".join(
        f"{gain_text(one)} ({interval_text(one['low'], one['high'])}) at {rung_name(one['rung'])}"
        for one in off
    )
    alpha = f"{100 * found.ladder.alpha:g}%"
    return (
        f"{start}: its interval excludes 1, the true gain, at {len(off)} of {len(gains['rungs'])} "
        f"rungs: {listed}. By chance, {alpha} of intervals do; more cast doubt on the study."
    )


def contains_one(row: Mapping[str, Any]) -> bool:
    """Return whether the interval of a gain contains 1; an end that is None is not bounded."""
    return (row["low"] is None or row["low"] <= 1) and (row["high"] is None or row["high"] >= 1)
