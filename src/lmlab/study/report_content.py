"""The content of a report as plain values; the page, Markdown and figures are made from it."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmlab.design.comparison import METRICS
from lmlab.design.ladder import ISOFLOP
from lmlab.study.arm_section import build_arms, build_costs
from lmlab.study.factorial_report.factorial_content import factorial_parts
from lmlab.study.glossary import build_glossary
from lmlab.study.isoflop_report.isoflop_content import isoflop_parts
from lmlab.study.ladder_report.ladder_content import ladder_parts
from lmlab.study.limitations import limits
from lmlab.study.metric_section import build_metrics, metric_headline
from lmlab.study.prediction_accuracy import prediction_accuracy
from lmlab.study.probe_section import build_probes
from lmlab.study.report_notes import curve_note, rate_notes, time_notes, verdict_notes
from lmlab.study.rerun_commands import study_commands
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.run_section import (
    build_annotations,
    build_curves,
    build_problems,
    build_rates,
    build_runs,
    build_samples,
)
from lmlab.study.setup_section import build_setup
from lmlab.study.shared_updates import shared_note, taken_over
from lmlab.study.stack_report.stack_content import stack_parts
from lmlab.study.statistics import level_name
from lmlab.study.study_facts import count_states, is_finished, swept_settings
from lmlab.study.summary import headline, noise
from lmlab.study.sweep_section import build_sweep
from lmlab.study.task_section import build_tasks
from lmlab.study.train_curves import build_train_curves
from lmlab.study.verdict_section import baseline_row, judge_all, verdict_row
from lmlab.study.verdicts import rate_names


def build_content(study: Study) -> dict[str, Any]:
    """Collect everything that a report shows; the page's template and script name the keys."""
    design = None if study.manifest is None else study.manifest.comparison
    judged = judge_all(study)
    verdicts = [one for one in judged if not one.metric.task]
    by_metrics = [one for one in judged if one.metric.task]
    swept = swept_settings(study)
    sweep = build_sweep(study)
    arms = _in_order(build_arms(study), [row["arm"] for row in sweep["rows"]])
    ordered = _by_arm(study, [arm["name"] for arm in arms])
    content = {
        "study": study.name,
        "title": study.name.replace("_", " "),
        "question": None if design is None else design.question,
        "unit": METRICS[study.metric],
        "finished": is_finished(study.records),
        "generated": _last_time(study.records),
        "counts": count_states(study.records),
        "headline": [*headline(study, verdicts), *metric_headline(study, by_metrics)],
        "margin": None if design is None else design.margin,
        "confidence": "" if design is None else level_name(1 - design.alpha),
        "has_baseline": design is not None and design.baseline is not None,
        "swept": swept,
        "rates_note": _rates_note(study, swept),
        "is_lr_searched": design is not None and design.lr == "search",
        "rate_names": rate_names(design),
        "verdicts": [verdict_row(study, verdict) for verdict in verdicts],
        "verdict_notes": verdict_notes(study, verdicts),
        "metrics": build_metrics(study, by_metrics),
        "baseline": baseline_row(study),
        "setup": build_setup(study),
        "time_notes": time_notes(study.records),
        "curve_note": curve_note(study),
        "rate_notes": rate_notes(study),
        "noise": noise(study),
        "arms": arms,
        "curves": build_curves(ordered),
        "train_curves": build_train_curves(ordered),
        "runs": build_runs(ordered),
        "has_purposes": any(record.purposes != ("run",) for record in study.records),
        "rates": build_rates(ordered),
        "sweep": sweep,
        "costs": build_costs(study),
        "samples": build_samples(ordered),
        "problems": build_problems(ordered.records),
        "annotations": build_annotations(ordered.records),
        "commands": study_commands(study),
        "environment": _environment(study),
        "limits": limits(study),
        "glossary": build_glossary(study),
        "prediction_accuracy": prediction_accuracy(study.records),
        "probes": build_probes(ordered),
        "tasks": build_tasks(ordered),
        "ladder": None,
        "factorial": None,
        "stack": None,
        "sections": [],
    }
    if study.manifest is not None and study.manifest.factorial is not None:
        return content | factorial_parts(study, content)
    if study.manifest is not None and study.manifest.leave_one_out is not None:
        return content | stack_parts(study, content, verdicts)
    ladder = None if study.manifest is None else study.manifest.ladder
    if ladder is None:
        return content
    parts = isoflop_parts if ladder.analysis == ISOFLOP else ladder_parts
    return content | parts(study, content)


def _in_order(arms: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Put the arms of a sweep in the order of its results: one order for legends and tables."""
    positions = {name: position for position, name in enumerate(names)}
    return sorted(arms, key=lambda arm: positions.get(arm["name"], len(positions)))


def _by_arm(study: Study, names: Sequence[str]) -> Study:
    """Return the study with its runs in the order of the arms: one order for all tables."""
    positions = {name: position for position, name in enumerate(names)}
    records = sorted(
        study.records, key=lambda record: positions.get(record.job.arm, len(positions))
    )
    return dataclasses.replace(study, records=records)


def _last_time(records: Sequence[RunRecord]) -> str:
    """When the newest run was written; not the time of the report, so that reports reproduce."""
    return max((str(record.status.get("time", "")) for record in records), default="")


def _rates_note(study: Study, swept: Sequence[str]) -> str:
    """State how learning rates were chosen, where no search did; empty where one did."""
    design = None if study.manifest is None else study.manifest.comparison
    if design is None:
        return (
            "The learning rate was swept."
            if "optim.lr" in swept
            else "Each run used its configured learning rate."
        )
    return "" if design.lr == "search" else "Each arm was trained at its configured learning rate."


def _environment(study: Study) -> list[list[str]]:
    """Versions and devices of the runs, each with all values that occur."""
    sessions = [
        session for record in study.records for session in record.meta.get("sessions", [])[-1:]
    ]
    found: dict[str, Counter[str]] = {}

    def count(key: str, value: Any) -> None:
        found.setdefault(key, Counter())[str(value)] += 1

    for session in sessions:
        code = session.get("code") or {}
        commit = code.get("commit", session.get("commit"))
        count("commit", (commit or "unknown")[:12])
        for key in ("device", "platform", "python"):
            count(key, session.get(key, "unknown"))
        for name, version in (session.get("versions") or {}).items():
            count(name, version)
    for record in study.records:
        if record.meta.get("corpus"):
            count("corpus", record.meta["corpus"])
    # The times of a run include those of updates that it took over.
    seconds = math.fsum(
        float(record.status.get("seconds", 0)) - taken_over(record).seconds
        for record in study.records
    )
    rows = [[key, ", ".join(sorted(values))] for key, values in found.items()]
    if not rows:
        return []
    rows.append(["training time of all runs", f"{seconds / 60:.1f} min"])
    if note := shared_note(study.records):
        rows.append(["shared updates", note])
    return rows
