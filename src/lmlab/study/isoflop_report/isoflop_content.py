"""What the report of an isoFLOP study says beside the parts that every report has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.design.ladder import FIXED
from lmlab.study.isoflop_report.isoflop_headline import isoflop_headline
from lmlab.study.isoflop_report.isoflop_notes import (
    isoflop_glossary,
    isoflop_limits,
    isoflop_rule,
)
from lmlab.study.isoflop_report.isoflop_rows import (
    curve_rows,
    law_rows,
    loss_law,
    optimum_rows,
    size_rows,
)
from lmlab.study.isoflop_report.isoflop_study import IsoflopStudy
from lmlab.study.isoflop_report.isoflop_tables import isoflop_sections
from lmlab.study.ladder_report.arm_parts import (
    ladder_arms,
    ladder_costs,
    ladder_curves,
    ladder_runs,
    ladder_samples,
    ladder_setup,
    rate_cautions,
)
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.rate_rows import search_rows, spent_rows
from lmlab.study.ladder_report.rung_rows import rung_rows
from lmlab.study.ladders.isoflop_facts import budget_flops
from lmlab.study.run_records import Study
from lmlab.study.statistics import level_name


def build_isoflop(found: IsoflopStudy) -> dict[str, Any]:
    """Return everything that the report says of an isoFLOP study, as plain values.

    Returns:
        Rows of ``budgets``, ``sizes``, ``curves``, ``optima`` and ``laws``; the ``loss_law``; the
        cells that are ``left_out``, each with the reason; the ``headline``, and the ``sections``
        of :mod:`lmlab.study.isoflop_report.isoflop_tables`.
    """
    ladder_study, ladder = found.ladder_study, found.ladder_study.ladder
    rungs = rung_rows(ladder_study)
    sizes = size_rows(found)
    is_tuned = ladder.lr != FIXED
    content: dict[str, Any] = {
        "confidence": level_name(1 - ladder.alpha),
        "num_complete": ladder_study.facts.num_complete,
        "budgets": [
            {"name": row["name"], "flops": flops, "seeds": row["seeds"]}
            for row, flops in zip(rungs, budget_flops(ladder_study.facts), strict=True)
        ],
        "sizes": sizes,
        "curves": curve_rows(found),
        "optima": optimum_rows(found),
        "laws": law_rows(found),
        "loss_law": loss_law(found.result, ladder.alpha),
        "left_out": dict(found.budgets.left_out),
        "pass_notes": _passes(ladder_study.train_tokens, sizes),
        "spent": spent_rows(ladder_study) if is_tuned else [],
        "searches": search_rows(ladder_study) if is_tuned else [],
        "rate_notes": [
            f"The learning rate may not be the best one: {caution}."
            for caution in (rate_cautions(ladder_study) if is_tuned else [])
        ],
    }
    content["headline"] = isoflop_headline(found, content)
    content["sections"] = isoflop_sections(content)
    return content


def _passes(text: int | None, sizes: list[dict[str, Any]]) -> list[str]:
    """Name the sizes that read the training text, of so many tokens, more than once."""
    cells = [
        f"{row['arm']} at r{one['rung'] + 1} ({one['tokens'] / text:.2g})"
        for row in sizes
        for one in row["rungs"]
        if text and one["tokens"] and one["tokens"] > text
    ]
    if not cells:
        return []
    return [f"Passes over the training text, where there is more than one: {', '.join(cells)}."]


def isoflop_parts(study: Study, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report of an isoFLOP study says in place of the parts for plain runs.

    Args:
        study: an isoFLOP study.
        content: the parts for plain runs.
    """
    found = IsoflopStudy.of(study)
    isoflop, ladder_study = build_isoflop(found), found.ladder_study
    ladder = ladder_study.ladder
    arms = {arm["name"]: arm | {"is_baseline": False} for arm in ladder_arms(ladder_study)}
    return {
        "ladder": _without_gains(isoflop),
        "sections": isoflop["sections"],
        "question": ladder.question,
        "headline": isoflop["headline"],
        "confidence": isoflop["confidence"],
        "has_baseline": False,
        "arms": [arms[row["arm"]] for row in isoflop["sizes"]],
        "setup": _setup(ladder_study),
        "costs": ladder_costs(ladder_study) | {"notes": []},
        "noise": isoflop_rule(ladder),
        "limits": [*content["limits"], *isoflop_limits(ladder)],
        "glossary": isoflop_glossary(ladder),
        "runs": ladder_runs(ladder_study),
        "samples": ladder_samples(ladder_study),
        "rates": [],
        "rates_note": "",
        "curve_note": "Curves are of the judged runs of each size at one budget.",
        **ladder_curves(ladder_study),
    }


def _setup(ladder_study: LadderStudy) -> list[list[str]]:
    """Return the setup that all sizes and budgets share."""
    rows = ladder_setup(ladder_study)
    return [row for row in rows if row[0] != "baseline" and not row[0].startswith("model on ")]


def _without_gains(isoflop: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a ladder that has an isoFLOP analysis and nothing to compare."""
    nothing: dict[str, Any] = {
        key: []
        for key in ("verdicts", "gains", "losses", "fits", "curves", "residuals", "seals",
                    "seal_problems", "certificates")
    }  # fmt: skip
    return nothing | {
        "isoflop": isoflop,
        "timed": {"gains": [], "seconds": [], "notes": []},
        "rates": {"arms": [], "axis": "", "regrets": [], "spent": [], "notes": [],
                  "searches": isoflop["searches"]},
        "rungs": isoflop["budgets"],
        "headline": isoflop["headline"],
        "sections": isoflop["sections"],
        "confidence": isoflop["confidence"],
        "num_complete": isoflop["num_complete"],
    }  # fmt: skip
