"""The content of a report as plain values; the page, Markdown and figures are made from it."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmlab.design.comparison import METRICS
from lmlab.study.arm_section import build_arms, build_costs
from lmlab.study.prediction_accuracy import prediction_accuracy
from lmlab.study.rerun_commands import study_commands
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.run_section import (
    build_annotations,
    build_curves,
    build_problems,
    build_rates,
    build_runs,
    build_samples,
    finite,
)
from lmlab.study.statistics import level_name
from lmlab.study.study_facts import count_states, is_finished, swept_settings
from lmlab.study.summary import headline, limits, noise
from lmlab.study.sweep_section import build_sweep
from lmlab.study.token_savings import token_savings
from lmlab.study.train_curves import build_train_curves
from lmlab.study.verdicts import BASELINE_RATE, OWN_RATE, Verdict, judge, rate_names


def build_content(study: Study) -> dict[str, Any]:
    """Collect everything that a report shows; the page's template and script name the keys."""
    design = None if study.manifest is None else study.manifest.comparison
    verdicts = _judge_all(study)
    swept = swept_settings(study)
    sweep = build_sweep(study)
    return {
        "study": study.name,
        "title": study.name.replace("_", " "),
        "question": None if design is None else design.question,
        "unit": METRICS["loss"] if study.manifest is None else study.manifest.unit,
        "finished": is_finished(study.records),
        "generated": _last_time(study.records),
        "counts": count_states(study.records),
        "headline": headline(study, verdicts),
        "margin": None if design is None else design.margin,
        "confidence": "" if design is None else level_name(1 - design.alpha),
        "has_baseline": design is not None and design.baseline is not None,
        "swept": swept,
        "rates_note": _rates_note(study, swept),
        "is_lr_searched": design is not None and design.lr == "search",
        "rate_names": rate_names(design),
        "verdicts": [_verdict_row(study, verdict) for verdict in verdicts],
        "noise": noise(study),
        "arms": _in_order(build_arms(study), [row["arm"] for row in sweep["rows"]]),
        "curves": build_curves(study),
        "train_curves": build_train_curves(study),
        "runs": build_runs(study),
        "rates": build_rates(study),
        "sweep": sweep,
        "costs": build_costs(study),
        "samples": build_samples(study),
        "problems": build_problems(study.records),
        "annotations": build_annotations(study.records),
        "commands": study_commands(study),
        "environment": _environment(study),
        "limits": limits(study),
        "prediction_accuracy": prediction_accuracy(study.records),
    }


def _in_order(arms: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Put the arms of a sweep in the order of its results: one order for legends and tables."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(arms, key=lambda arm: places.get(arm["name"], len(places)))


def _last_time(records: Sequence[RunRecord]) -> str:
    """When the newest run was written; not the time of the report, so that reports reproduce."""
    return max((str(record.status.get("time", "")) for record in records), default="")


def _judge_all(study: Study) -> list[Verdict]:
    if study.manifest is None or study.manifest.comparison is None:
        return []
    verdicts = judge(study.manifest, study.outcomes, OWN_RATE)
    if study.manifest.comparison.at_baseline_lr and study.manifest.comparison.lr == "search":
        verdicts += judge(study.manifest, study.outcomes, BASELINE_RATE)
    return verdicts


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


def _verdict_row(study: Study, verdict: Verdict) -> dict[str, Any]:
    comparison = verdict.comparison
    known = [loss for loss in verdict.losses.values() if loss is not None]
    return {
        "arm": verdict.arm,
        "at": verdict.at,
        "lr": verdict.lr,
        "baseline_lr": verdict.baseline_lr,
        "is_replicate": verdict.is_replicate,
        "verdict": verdict.label,
        "detail": verdict.detail,
        "difference": finite(comparison.difference if comparison else None),
        "low": finite(comparison.low if comparison else None),
        "high": finite(comparison.high if comparison else None),
        "p": finite(comparison.p if comparison and comparison.seeds > 1 else None),
        "adjusted_p": finite(
            comparison.adjusted_p if comparison and comparison.seeds > 1 else None
        ),
        "differences": list(verdict.differences),
        "confidence": level_name(comparison.confidence)
        if comparison and comparison.confidence
        else "",
        "seeds": len(known),
        "pairs": len(verdict.pairs),
        "unpaired": list(verdict.unpaired),
        "mean": finite(verdict.mean),
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "token_savings": token_savings(study, verdict),
    }


def _environment(study: Study) -> list[list[str]]:
    """Versions and devices of the runs, each with all values that occur."""
    sessions = [
        session for record in study.records for session in record.meta.get("sessions", [])[-1:]
    ]
    found: dict[str, Counter[str]] = {}

    def count(key: str, value: Any) -> None:
        found.setdefault(key, Counter())[str(value)] += 1

    for session in sessions:
        code = session.get("code", {})
        commit = code.get("commit", session.get("commit"))
        count("commit", (commit or "unknown")[:12])
        for key in ("device", "platform", "python"):
            count(key, session.get(key, "unknown"))
        for name, version in session.get("versions", {}).items():
            count(name, version)
    for record in study.records:
        if record.meta.get("corpus"):
            count("corpus", record.meta["corpus"])
    seconds = math.fsum(float(record.status.get("seconds", 0)) for record in study.records)
    rows = [[key, ", ".join(sorted(values))] for key, values in found.items()]
    return [*rows, ["training time of all runs", f"{seconds / 60:.1f} min"]] if rows else []
