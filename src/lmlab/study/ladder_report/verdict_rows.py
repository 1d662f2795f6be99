"""The verdict on each arm of a ladder in words, with what would decide where it cannot tell."""

from __future__ import annotations

from typing import Any

from lmlab.console.formatting import format_count, format_list
from lmlab.design.ladder import Ladder
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.wording import power_text, rung_name
from lmlab.study.ladders.ladder_facts import Cell
from lmlab.study.ladders.ladder_verdict import CANNOT_TELL, MAX_SEEDS, LadderVerdict
from lmlab.study.verdicts import arm_phrase

NO_VERDICT = "no verdict"
_MOVES = {"holds", "grows", "shrinks", "vanishes"}


def verdict_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return a row for each compared arm, in the order of the study, with the replicate last.

    Returns:
        ``arm``, ``is_replicate``, ``verdict`` (a word of :mod:`lmlab.study.ladders.ladder_verdict`,
        or ``no verdict``), ``sentence``, ``advice`` (what would decide, or why there is no
        verdict), ``adjusted_p``.
    """
    rows = []
    for arm in found.ladder.compared_arms:
        verdict = None if found.result is None else found.result.verdicts.get(arm)
        row: dict[str, Any] = {"arm": arm, "is_replicate": arm == found.ladder.replicate}
        if verdict is None:
            why = why_no_verdict(found, arm)
            row |= {"verdict": NO_VERDICT, "sentence": NO_VERDICT, "advice": why}
            row["adjusted_p"] = None
        else:
            row |= {
                "verdict": verdict.label,
                "sentence": verdict_sentence(verdict),
                "advice": advice(verdict, found.ladder),
                "adjusted_p": verdict.adjusted_p,
            }
        rows.append(row)
    return rows


def verdict_sentence(verdict: LadderVerdict) -> str:
    """Return a verdict as a clause: ``the gain holds``, ``the disadvantage grows``.

    Where the verdict is open, a difference at an end of the ladder may stand all the same.
    """
    if verdict.label == CANNOT_TELL:
        return _open_sentence(verdict)
    if verdict.label == "reverses":
        before, after = ("better", "worse") if verdict.last.estimate < 0 else ("worse", "better")
        return f"it reverses, from {before} to {after}"
    if verdict.label not in _MOVES:
        return verdict.label
    at_last = verdict.label in ("holds", "grows")
    decisive = verdict.last if at_last else max(verdict.first, verdict.last, key=_size)
    return f"the {'gain' if decisive.estimate > 0 else 'disadvantage'} {verdict.label}"


def _open_sentence(verdict: LadderVerdict) -> str:
    """Return what stands of an arm whose verdict is open: it gets the word, and a difference."""
    if verdict.p > verdict.level:
        return CANNOT_TELL
    ends = ((verdict.last, "highest", "it holds"), (verdict.first, "lowest", "any of it is left"))
    for contrast, rung, question in ends:
        if contrast.p <= verdict.level:
            word = "gain" if contrast.estimate > 0 else "disadvantage"
            return f"a {word} at the {rung} rung; {CANNOT_TELL} whether {question}"
    return CANNOT_TELL


def _size(contrast: Any) -> float:
    return abs(float(contrast.estimate))


def advice(verdict: LadderVerdict, ladder: Ladder) -> str:
    """Return what would probably decide; empty where the verdict is decided."""
    if verdict.label != CANNOT_TELL:
        return ""
    ways = []
    if verdict.rung_cost is not None:
        ways.append(f"a rung at about {power_text(verdict.rung_cost)} FLOPs")
    if verdict.more_seeds is not None:
        ways.append(f"{verdict.more_seeds} more {_seeds(verdict.more_seeds)} per rung")
    if ways:
        return f"{' or '.join(ways)} would probably decide"
    return (
        f"neither a rung at up to {ladder.max_factor:g} times the highest compute nor {MAX_SEEDS} "
        "seeds per rung would probably decide"
    )


def _seeds(number: int) -> str:
    return "seed" if number == 1 else "seeds"


def why_no_verdict(found: LadderStudy, arm: str) -> str:
    """Return why an arm has no verdict."""
    lost = found.lost_arms.get(arm)
    if lost:
        cells = found.facts.cells[arm]
        return "; ".join(f"{rung_name(rung)}: {lost_reason(cells[rung])}" for rung in lost)
    if found.num_analysed < 2:
        return "a gain is read between rungs, so two complete ones are needed"
    if found.result is None:
        return "the compute of its rungs does not grow"
    rises = found.result.ladder.pair(arm, found.ladder.baseline).rises
    if rises:
        name, rung = rises[0]
        step = f"from {rung_name(rung - 1)} to {rung_name(rung)}"
        return f"the mean loss of {arm_phrase(name)} does not fall {step}"
    return "fewer than two rungs have a gain; the others have a bound"


def lost_reason(cell: Cell) -> str:
    """Return why a cell has fewer than two losses."""
    if cell.is_untrainable:
        return "it diverged at every learning rate tried"
    counts: dict[str, int] = {}
    for outcome in cell.outcomes.values():
        if outcome.loss is None:
            counts[outcome.status] = counts.get(outcome.status, 0) + 1
    total = format_count(len(cell.outcomes), "run")
    parts = [f"{number} of {total} {_state(status)}" for status, number in counts.items()]
    return format_list(parts) if parts else f"only {total}"


def _state(status: str) -> str:
    return {"missing": "missing", "done": "without a finite loss"}.get(status, status)
