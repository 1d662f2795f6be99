"""The content of a comparison as plain values; its page, Markdown and figures are made from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.design.comparison import METRICS, Comparison
from lmlab.design.fairness import Difference
from lmlab.design.manifest import Manifest
from lmlab.design.run_keys import typed_text
from lmlab.run_folder import sessions_of
from lmlab.study.arm_section import build_arms, build_costs
from lmlab.study.exploratory.comparison_text import cautions, further_commands, headline, method
from lmlab.study.exploratory.group_verdict import GroupVerdict
from lmlab.study.exploratory.run_group import RunGroup
from lmlab.study.figure_style import shorten
from lmlab.study.limitations import limits
from lmlab.study.markdown import number_text, verdict_table
from lmlab.study.mixed_runs import mixed_runs
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.run_section import build_curves, build_runs
from lmlab.study.statistics import level_name
from lmlab.study.study_facts import count_states
from lmlab.study.verdict_section import baseline_values, verdict_row
from lmlab.study.verdicts import rate_names

_TERMS = [
    ["A, B", "The groups of runs that are compared. A is the reference, also called baseline."],
    ["difference", "Final validation loss of B minus that of A; negative: B is better."],
    ["exploratory", "Said of a verdict that was not planned before the runs were trained."],
    ["interval", "The differences that the runs do not rule out at the stated confidence."],
    ["sd", "Standard deviation over seeds."],
]


def study_of(a: RunGroup, b: RunGroup, design: Comparison) -> Study:
    """Return two groups as a study of the arms ``A`` and ``B``, for the sections of its report."""
    groups = (a, b)
    manifest = Manifest(
        study="comparison",
        command="",
        arms=[group.config for group in groups],
        names=[group.name for group in groups],
        overrides=[[], []],
        comparison=design,
    )
    costs = {group.name: group.costs().as_dict() for group in groups}
    records = [record for group in groups for record in group.records]
    folder = Path(a.records[0].folder).parent
    return Study("comparison", folder, manifest, costs, records)


def build_comparison(
    a: RunGroup,
    b: RunGroup,
    judged: GroupVerdict,
    design: Comparison,
    differences: Sequence[Difference],
) -> dict[str, Any]:
    """Collect all that the comparison of two groups shows.

    Returns:
        ``title``, ``figure_title``, ``headline``, ``sections`` (each with ``heading``, ``figures``,
        ``tables`` and ``notes``), ``commands``, ``result`` for programs, and what the figures of a
        study need.
    """
    study = study_of(a, b, design)
    row = verdict_row(study, judged.verdict)
    content: dict[str, Any] = {
        "title": f"{b.title} against {a.title}",
        "figure_title": f"Exploratory, {' against '.join(_short(group) for group in (b, a))}",
        "unit": METRICS[design.metric],
        "margin": design.margin,
        "rate_names": rate_names(design),
        "arms": [{"name": one.name, "best_lr": None} for one in (a, b)],
        "curves": build_curves(study),
        "verdicts": [row],
        "ladder": None,
        "factorial": None,
        "headline": headline(a, b, judged, design),
        "counts": count_states(study.records),
        "commands": further_commands(a, b) if row["verdict"] == "inconclusive" else [],
        "terms": _TERMS,
    }
    reference = baseline_values(study, judged.base) | {"detail": "", "lr": _rate(a)}
    content["sections"] = [
        _verdict_section(row | {"lr": _rate(b)}, reference, method(a, b, judged, design)),
        _curve_section(content["curves"]),
        *_setting_sections(study, a, b),
        _caution_section(study, differences),
        _run_section(study),
    ]  # fmt: skip
    content["result"] = _result(a, b, judged, design, row, content, differences)
    return content


def _short(group: RunGroup) -> str:
    return f"{group.name} ({shorten(group.arm, 20)})"


def _rate(group: RunGroup) -> float | None:
    rate = group.config["optim"].get("lr")
    return float(rate) if isinstance(rate, int | float) and math.isfinite(rate) else None


def _verdict_section(
    row: dict[str, Any], reference: dict[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    columns, cells = verdict_table([row], reference, "mean")
    # One arm by one metric: no p-value is adjusted.
    columns = ["p" if column == "adjusted p" else column for column in columns]
    columns[columns.index("verdict")] = "exploratory verdict"
    return {
        "id": "verdict", "heading": "Verdict (exploratory)", "figures": ["verdicts"],
        "tables": [_table("Verdict (exploratory)", columns, cells, words=(0, 6, 8))],
        "notes": list(notes),
    }  # fmt: skip


def _curve_section(curves: Sequence[dict[str, Any]]) -> dict[str, Any]:
    trained = [[tokens for tokens in curve["tokens"] if tokens > 0] for curve in curves]
    has_lines = any(len(tokens) > 1 for tokens in trained)
    note = (
        "Thick lines are means over seeds, thin ones single runs."
        if has_lines
        else "There are no curves: no run was evaluated twice after its training began "
        "(validation.every_steps)."
    )
    return {
        "id": "curves", "heading": "Learning curves", "figures": ["curves"], "tables": [],
        "notes": [note],
    }  # fmt: skip


def _provenance_rows(a: RunGroup, b: RunGroup) -> list[list[str]]:
    """Return the device, its settings and the commits, where those of the groups differ."""
    found = [_provenance(group.records) for group in (a, b)]
    rows = [[key, *(", ".join(sorted(one.get(key, {"-"}))) for one in found)]
            for key in {**found[0], **found[1]}]  # fmt: skip
    return [row for row in rows if row[1] != row[2]]


def _provenance(records: Sequence[RunRecord]) -> dict[str, set[str]]:
    values: dict[str, set[str]] = {}
    for record in records:
        for key, value in record.settings.items():
            if key.startswith("identity.device."):
                name = key.removeprefix("identity.")
                values.setdefault(name, set()).add(typed_text(value))
        for session in sessions_of(record.meta)[-1:]:
            commit = (session.get("code") or {}).get("commit") or "unknown"
            values.setdefault("commit", set()).add(str(commit)[:12])
    return values


def _setting_sections(study: Study, a: RunGroup, b: RunGroup) -> list[dict[str, Any]]:
    """Return what the groups cost, and the settings in which they differ."""
    costs = build_costs(study)
    arm = next(one for one in build_arms(study) if one["name"] == b.name)
    rows = [[one["key"], one["baseline"], one["arm"]] for one in arm["differences"]]
    columns = ["", a.name, b.name]
    tables = [_table("Settings", ["setting", *columns[1:]], rows, (0, 1, 2))] if rows else []
    provenance = _provenance_rows(a, b)
    if provenance:
        tables.append(_table("Device and code", columns, provenance, (0, 1, 2)))
    equal = [] if rows else ["All settings but the seeds are equal."]
    return [
        {"id": "fairness", "heading": "Cost and data", "figures": [],
         "tables": [_table("Cost and data", costs["columns"], costs["rows"], (0, 6, 7))],
         "notes": [] if any("Allowed" in note for note in costs["notes"]) else costs["notes"]},
        {"id": "settings", "heading": "What differs", "figures": [], "tables": tables,
         "notes": [*equal, *mixed_runs(study)]},
    ]  # fmt: skip


def _caution_section(study: Study, differences: Sequence[Difference]) -> dict[str, Any]:
    told = mixed_runs(study)  # among what differs
    return {
        "id": "limits", "heading": "What this does not show", "figures": [], "tables": [],
        "notes": [*cautions(differences), *(line for line in limits(study) if line not in told)],
    }  # fmt: skip


def _run_section(study: Study) -> dict[str, Any]:
    rows = [
        [run["arm"], str(run["seed"]), run["status"], number_text(run["loss"]),
         number_text(run["bits_per_byte"]), f"{run['tokens'] or 0:,.0f}", run["folder"]]
        for run in build_runs(study)
    ]  # fmt: skip
    columns = ["group", "seed", "status", "loss", "bits per byte", "tokens", "folder"]
    return {
        "id": "runs", "heading": "Runs", "figures": [],
        "tables": [_table("Runs", columns, rows, (0, 2, 6))], "notes": [],
    }  # fmt: skip


def _table(
    label: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int]
) -> dict[str, Any]:
    return {"label": label, "columns": list(columns), "rows": [list(row) for row in rows],
            "words": list(words)}  # fmt: skip


def _result(
    a: RunGroup, b: RunGroup, judged: GroupVerdict, design: Comparison, row: dict[str, Any],
    content: dict[str, Any], differences: Sequence[Difference],
) -> dict[str, Any]:  # fmt: skip
    """Return the comparison for programs."""
    found = judged.verdict.comparison
    keys = ("difference", "low", "high", "p", "pairs", "differences")
    settings = next(one for one in content["sections"] if one["id"] == "settings")
    return {
        "comparable": True,
        "exploratory": True,
        "verdict": row["shown_verdict"] if found is None or found.confidence else "none",
        "detail": row["detail"],
        **{key: row[key] for key in keys},
        "confidence": None if found is None else found.confidence,
        "metric": design.metric,
        "unit": content["unit"],
        "margin": design.margin,
        "test": design.test if judged.is_paired else "welch",
        "paired_seeds": list(judged.verdict.pairs) if judged.is_paired else [],
        "groups": {
            group.name: {
                "arm": group.arm,
                "runs": [record.folder for record in group.records],
                "losses": {str(record.job.seed): record.outcome.loss for record in group.records},
                "costs": dataclasses.asdict(group.costs()),
            }
            for group in (a, b)
        },
        "settings": [row for table in settings["tables"] for row in table["rows"]],
        "unequal": [one.description for one in differences],
        "headline": content["headline"],
        "level": level_name(design.alpha),
        "commands": content["commands"],
    }
