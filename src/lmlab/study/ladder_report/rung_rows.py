"""The rungs of a ladder as plain values: sizes, training compute, and how far each has come."""

from __future__ import annotations

from typing import Any

from lmlab.console.formatting import format_count
from lmlab.design.ladder import ISOFLOP
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.wording import rung_name


def rung_rows(found: LadderStudy) -> list[dict[str, Any]]:
    """Return the sizes of the baseline on each rung, from the lowest, and the state of its runs."""
    manifest, ladder = found.facts.manifest, found.ladder
    text, rows = found.train_tokens, []
    for number, rung in enumerate(ladder.rungs):
        arms = manifest.rungs[number].arms
        training, model = arms[0]["training"], arms[0]["model"]
        batch = int(training["batch_size"])
        rows.append(
            {
                "name": rung_name(number),
                "d_model": rung.d_model,
                "num_layers": rung.num_layers,
                "parameters": rung.parameters,
                "hidden_parameters": rung.hidden_parameters,
                "tokens": rung.tokens,
                "batch": batch,
                "steps": rung.tokens // (batch * int(model["context_length"])),
                "flops": rung.flops,
                "passes": None if text is None else rung.tokens / text,
                "seeds": ladder.seeds(number),
                "missing": num_missing(found, number),
            }
        )
    return rows


def num_missing(found: LadderStudy, rung: int) -> int:
    """Return how many judged runs of a rung have no result yet."""
    cells = [cells[rung] for cells in found.facts.cells.values()]
    return sum(
        not outcome.is_final
        for cell in cells
        if not cell.is_untrainable
        for outcome in cell.outcomes.values()
    )


def stage_name(found: LadderStudy) -> str:
    """Return what a rung of the study is: a ``rung``, or the ``budget`` of an isoFLOP study."""
    return "budget" if found.ladder.analysis == ISOFLOP else "rung"


def progress_line(found: LadderStudy) -> str:
    """Return what is missing of an unfinished ladder; empty where nothing is."""
    total, complete = len(found.ladder.rungs), found.facts.num_complete
    if complete == total:
        return ""
    missing = [
        f"{rung_name(rung)} lacks {format_count(number, 'judged run')}"
        for rung in range(complete, total)
        if (number := num_missing(found, rung))
    ]
    name = stage_name(found)
    known = f"No {name} is complete"
    if complete:
        known = f"{complete} of {total} {name}s are complete"
    rests = ", and what is said rests on these" if complete else ""
    return f"{known}{rests}: {', '.join(missing)}."
