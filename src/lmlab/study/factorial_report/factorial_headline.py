"""The headline of a factorial study: which factors act, which act on each other, what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_count, format_list
from lmlab.study.factorial_report.factorial_study import FactorialStudy
from lmlab.study.statistics import INCONCLUSIVE
from lmlab.study.verdicts import lost_phrase

_CLEAR = ("better", "worse")


def factorial_headline(found: FactorialStudy, content: Mapping[str, Any]) -> list[str]:
    """Return the sentences that a report begins with.

    Args:
        found: the study.
        content: its ``effects``, ``cells``, ``kept_sum`` and ``singles``.
    """
    lines = _progress(found)
    if found.lost:
        lines.append(_lost(found))
    rows = [row for row in content["effects"] if row["order"] <= 2]
    if found.effects and not found.lost:
        lines += _effects(found, rows)
    lines += _best(found, content["cells"])
    lines += _one_at_a_time(found, content)
    return lines + _rates(found)


def _progress(found: FactorialStudy) -> list[str]:
    """State which cells can never have a loss, and how many still lack one."""
    lines = []
    if found.untrainable:
        lines.append(
            f"Diverged at every learning rate tried: {', '.join(found.untrainable)}. Effects are "
            "means over all cells, so the study shows none."
        )
    planned = found.factorial.num_seeds
    missing = [cell for cell, losses in found.losses.items()
               if len(losses) < planned and cell not in found.lost
               and cell not in found.untrainable]  # fmt: skip
    if missing:
        lines.append(
            f"{len(found.factorial.cells) - len(missing)} of "
            f"{format_count(len(found.factorial.cells), 'cell')} have their judged runs"
            + (f"; effects rest on {format_count(len(found.seeds), 'seed')} so far."
               if found.seeds else ".")
        )  # fmt: skip
    return lines


def _lost(found: FactorialStudy) -> str:
    cells = [f"{cell} ({lost_phrase(one)})" for cell, one in found.lost.items()]
    return (
        f"No verdicts, because runs of these cells have no final loss: {', '.join(cells)}. The "
        "seeds that remain are a selection; their effects are shown without verdicts."
    )


def _effects(found: FactorialStudy, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """State the clear effects, one sentence each, and name the others in one."""
    if len(found.seeds) < 2:
        far = [row["name"] for row in rows if row["stands_out"]]
        return [
            "One seed supports no verdicts. By Lenth's method, "
            + (f"these effects stand out from all others: {', '.join(far)}." if far
               else "no effect stands out from all others.")
        ]  # fmt: skip
    main = sorted(_clear(rows, 1), key=lambda row: row["estimate"])
    pairs = sorted(_clear(rows, 2), key=lambda row: -abs(row["estimate"]))
    lines = [_main_sentence(row) for row in main] + [_pair_sentence(row) for row in pairs]
    for verdict, text in (
        ("no difference", f"Too small to matter (within ±{found.factorial.margin:g})"),
        (INCONCLUSIVE, "Inconclusive"),
    ):
        names = [row["name"] for row in rows if row["verdict"] == verdict]
        if names:
            lines.append(f"{text}: {', '.join(names)}.")
    return lines


def _clear(rows: Sequence[Mapping[str, Any]], order: int) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["order"] == order and row["verdict"] in _CLEAR]


def _main_sentence(row: Mapping[str, Any]) -> str:
    return (
        f"{row['name']} {row['shown']} by {abs(row['estimate']):.4f} on average over the other "
        f"factors ({row['low']:+.4f} to {row['high']:+.4f}, {row['confidence']})."
    )


def _pair_sentence(row: Mapping[str, Any]) -> str:
    one = row["simple"][0]
    return (
        f"{row['name']}: {row['shown']}. The effect of {one['factor']} is {one['off']:+.4f} "
        f"without {one['other']} and {one['on']:+.4f} with it."
    )


def _best(found: FactorialStudy, cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """State the cell with the lowest mean loss, and that it was chosen for it."""
    row = next((row for row in cells if row["cell"] == found.best), None)
    if row is None:
        return []
    if row["is_baseline"]:
        return ["No combination has a lower mean loss than the baseline."]
    return [
        f"Lowest mean loss: {row['mean']:.4f} in {row['cell']}, {row['difference']:+.4f} from the "
        f"baseline. It was chosen from {format_count(len(cells), 'cell')} by these losses, so that "
        "new runs of it will be a little worse on average."
    ]


def _one_at_a_time(found: FactorialStudy, content: Mapping[str, Any]) -> list[str]:
    """State what a study of one part at a time would have concluded from its cells."""
    if not content["singles"]:
        return []
    kept = [row["factor"] for row in content["singles"] if row["is_kept"]]
    start = "One part at a time, each against the baseline,"
    if not kept:
        return [f"{start} no factor would have been kept."]
    line = f"{start} {format_list(kept)} would have been kept"
    total = content["kept_sum"]
    if total is None:
        return [f"{line}."]
    promised, given, gap = total["promised"], total["given"], total["gap"]
    return [
        f"{line}, with {promised[0]:+.4f} in sum; together they give {given[0]:+.4f} "
        f"(a gap of {gap[0]:+.4f}, {gap[1]:+.4f} to {gap[2]:+.4f})."
    ]


def _rates(found: FactorialStudy) -> list[str]:
    """State what the check of the predicted rate shows."""
    check = found.check
    if check is None:
        return []
    seeds = format_count(check.seeds, "seed")
    if check.regret == 0:
        return [
            f"The predicted learning rate of {check.cell}, {check.rate:g}, is the best of the "
            f"three that check it ({seeds})."
        ]
    better = min(check.means, key=lambda rate: check.means[rate])
    return [
        f"The predicted learning rate of {check.cell}, {check.rate:g}, may not be the best: the "
        f"loss at {better:g} is lower by {check.regret:.4f} ({seeds})."
    ]
