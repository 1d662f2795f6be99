"""What a report says of a study, as plain values: pages, tables and figures are made of it."""

from __future__ import annotations

import itertools
import math
import re
import shlex
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmlab.design.fairness import TABLE_COLUMNS, ArmCosts, cost_table, find_differences
from lmlab.design.manifest import tuning_outcomes
from lmlab.run_folder import differences
from lmlab.study.prediction_accuracy import prediction_accuracy
from lmlab.study.rerun_commands import arm_commands, study_commands
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.summary import headline, limits, noise
from lmlab.study.verdicts import (
    BASELINE_RATE,
    OWN_RATE,
    Verdict,
    judge,
)

_STATES = ("done", "diverged", "running", "interrupted", "failed", "missing")
_NO_DIFFERENCE = re.compile(r"(arm|study|seed|seeds\..*|optim\.lr|output_root|samples.*)(:|\.).*")


def build_content(study: Study) -> dict[str, Any]:
    """Everything that a report shows; see :func:`lmlab.study.page.render_page` for the keys."""
    design = None if study.manifest is None else study.manifest.comparison
    verdicts = _judge_all(study)
    states = Counter(_state(record) for record in study.records)
    unfinished = sum(states[state] for state in ("running", "interrupted", "missing"))
    return {
        "study": study.name,
        "title": study.name.replace("_", " "),
        "question": None if design is None else design.question,
        "unit": "nats per token" if study.manifest is None else study.manifest.unit,
        "finished": bool(study.records) and not unfinished and not states["failed"],
        "generated": _last_time(study.records),
        "counts": {state: states[state] for state in _STATES},
        "headline": headline(study, verdicts),
        "verdicts": [_verdict(study, verdict) for verdict in verdicts],
        "noise": noise(study),
        "arms": _arms(study),
        "curves": [_curve(study, record) for record in study.records if record.validation],
        "rates": _rates(study),
        "fairness": _fairness(study),
        "samples": _samples(study),
        "problems": _problems(study.records),
        "commands": study_commands(study),
        "environment": _environment(study),
        "limits": limits(study),
        "prediction_accuracy": prediction_accuracy(study.records),
    }


def _state(record: RunRecord) -> str:
    return "missing" if record.state in ("queued", "preempted") else record.state


def _last_time(records: Sequence[RunRecord]) -> str:
    """When the newest run was written: the same files give the same report."""
    return max((str(record.status.get("time", "")) for record in records), default="")


def _judge_all(study: Study) -> list[Verdict]:
    if study.manifest is None or study.manifest.comparison is None:
        return []
    found = judge(study.manifest, study.outcomes, OWN_RATE)
    if study.manifest.comparison.at_baseline_lr and study.manifest.comparison.lr == "search":
        found += judge(study.manifest, study.outcomes, BASELINE_RATE)
    return found


def _verdict(study: Study, verdict: Verdict) -> dict[str, Any]:
    assert study.manifest is not None and study.manifest.comparison is not None
    found = verdict.comparison
    known = [loss for loss in verdict.losses.values() if loss is not None]
    return {
        "arm": verdict.arm,
        "at": verdict.at,
        "lr": verdict.lr,
        "baseline_lr": verdict.baseline_lr,
        "verdict": verdict.word,
        "detail": verdict.detail,
        "told": verdict.told(study.manifest.comparison.margin, study.manifest.unit),
        "difference": _finite(found.difference if found else None),
        "low": _finite(found.low if found else None),
        "high": _finite(found.high if found else None),
        "p": _finite(found.p if found and found.seeds > 1 else None),
        "adjusted_p": _finite(found.adjusted_p if found and found.seeds > 1 else None),
        "seeds": len(known),
        "mean": _finite(verdict.mean),
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "tokens_told": _tokens_told(study, verdict),
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _tokens_told(study: Study, verdict: Verdict) -> str:
    """The difference as tokens: where the better curve has the other's final loss.

    Read off mean validation curves between their points; nothing is extrapolated. A curve in the
    middle of its schedule lies above that of a run whose schedule ends there, so the saving is
    told too small rather than too large.
    """
    manifest = study.manifest
    assert manifest is not None and manifest.comparison is not None
    if verdict.word not in ("better", "worse"):
        return ""
    baseline = str(manifest.comparison.baseline)
    own = _mean_curve(study, verdict.arm, verdict.lr)
    base = _mean_curve(study, baseline, verdict.baseline_lr)
    if not own or not base:
        return ""
    leader, trailer = (own, base) if verdict.word == "better" else (base, own)
    share = _reaches(leader, trailer[-1][1])
    if share is None:
        return ""
    first, second = (verdict.arm, baseline) if verdict.word == "better" else (baseline, verdict.arm)
    return f"{first} has {second}'s final loss after {share:.0%} of the tokens"


def _mean_curve(study: Study, arm: str, lr: float | None) -> list[tuple[float, float]]:
    """(tokens, mean validation loss) over the judging runs, where all were evaluated."""
    curves = [
        {row["tokens"]: row[record.metric] for row in record.validation}
        for record in study.records
        if record.job.arm == arm and record.job.lr == lr and record.state == "done"
        and set(record.purposes) & {"judged", "baseline's lr"}
    ]  # fmt: skip
    if not curves:
        return []
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [(at, statistics.fmean(curve[at] for curve in curves)) for at in shared]


def _reaches(curve: Sequence[tuple[float, float]], loss: float) -> float | None:
    """Share of the tokens at which a curve first has ``loss``; None where it never does."""
    for (before, high), (after, low) in itertools.pairwise(curve):
        if high > loss >= low:
            at = before + (after - before) * (high - loss) / (high - low)
            return at / curve[-1][0]
    return None


def _arms(study: Study) -> list[dict[str, Any]]:
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        names = dict.fromkeys(record.job.arm for record in study.records)
        return [_bare_arm(study, name) for name in names]
    design, found = manifest.comparison, []
    reference = manifest.arms[manifest.names.index(design.baseline or manifest.names[0])]
    for arm in design.judged_arms:
        like = str(design.baseline) if arm == design.replicate else arm
        index = manifest.names.index(like)
        rate = manifest.judged_lr(arm, study.outcomes)
        edge = None
        if design.lr == "search" and arm in design.arms:  # the replicate searches for nothing
            sound, broken = manifest.lr_search(like).divergence_edge(
                tuning_outcomes(like, study.outcomes)
            )
            edge = [sound, broken] if broken is not None else None
        lines = differences(reference, manifest.arms[index])
        found.append(
            {
                "name": arm,
                "is_baseline": arm == design.baseline,
                "overrides": manifest.overrides[index],
                "commands": arm_commands(manifest, arm, rate),
                "best_lr": rate,
                "edge": edge,
                "differences": [_split(line) for line in lines if not _NO_DIFFERENCE.match(line)],
            }
        )
    return found


def _bare_arm(study: Study, name: str) -> dict[str, Any]:
    overrides: list[str] = []
    if study.manifest is not None and name in study.manifest.names:
        overrides = study.manifest.overrides[study.manifest.names.index(name)]
    command = shlex.join(["python", "-m", "lmlab.train", *overrides]) if overrides else ""
    return {
        "name": name, "is_baseline": False, "overrides": overrides,
        "commands": [command] if command else [], "best_lr": None, "edge": None, "differences": [],
    }  # fmt: skip


def _split(line: str) -> dict[str, str]:
    key, _, values = line.partition(": ")
    there, _, here = values.partition(" -> ")
    return {"key": key, "baseline": there, "arm": here}


def _purpose(record: RunRecord) -> str:
    order = ("judged", "baseline's lr", "search", "run")
    return next((purpose for purpose in order if purpose in record.purposes), "run")


def _curve(study: Study, record: RunRecord) -> dict[str, Any]:
    flops = 3 * int(record.meta.get("forward_flops_per_token") or 0)
    rows = record.validation
    return {
        "arm": record.job.arm,
        "seed": record.job.seed,
        "lr": record.job.lr,
        "purpose": _purpose(record),
        "status": record.state,
        "steps": [row["step"] for row in rows],
        "tokens": [row["tokens"] for row in rows],
        "seconds": [row["seconds"] for row in rows],
        "flops": [flops * row["tokens"] for row in rows],
        "loss": [_finite(row[record.metric]) for row in rows],
    }


def _rates(study: Study) -> list[dict[str, Any]]:
    return [
        {
            "arm": record.job.arm,
            "seed": record.job.seed,
            "lr": record.job.lr,
            "purpose": _purpose(record),
            "loss": record.outcome.loss,
            "status": record.state,
        }
        for record in study.records
        if record.job.lr is not None and record.outcome.is_final
    ]


def _fairness(study: Study) -> dict[str, Any]:
    if not study.facts or study.manifest is None or study.manifest.comparison is None:
        return {"columns": [], "rows": [], "notes": []}
    facts = {arm: ArmCosts(**own) for arm, own in study.facts.items()}
    found = find_differences(facts, study.manifest.comparison)
    notes = [f"Allowed by the study: {difference.description}." for difference in found]
    rows = cost_table(facts)
    if not notes:
        notes = ["Nothing differs by more than the study tolerates."]
    return {"columns": list(TABLE_COLUMNS), "rows": rows, "notes": notes}


def _samples(study: Study) -> list[dict[str, Any]]:
    """The texts of the first judged run of each arm."""
    found, seen = [], set()
    for record in study.records:
        if record.job.arm in seen or _purpose(record) not in ("judged", "run"):
            continue
        texts = re.findall(r"```text\n(.*?)\n```", record.samples, flags=re.DOTALL)
        if not texts:
            continue
        seen.add(record.job.arm)
        loss = record.outcome.loss
        prompts = _prompts(study, record, len(texts))
        for prompt, text in zip(prompts, texts, strict=True):
            found.append(
                {
                    "arm": record.job.arm, "seed": record.job.seed, "prompt": prompt,
                    "text": text.removeprefix(prompt), "loss": loss,
                }
            )  # fmt: skip
    return found


def _prompts(study: Study, record: RunRecord, number: int) -> list[str]:
    if study.manifest is None:
        return [""] * number
    samples = study.manifest.job_config(record.job)["samples"]
    prompts = [text for text in samples["prompts"] for _ in range(samples["count"])]
    return prompts if len(prompts) == number else [""] * number


def _problems(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    return [
        {
            "arm": record.job.arm,
            "seed": record.job.seed,
            "lr": record.job.lr,
            "status": _state(record),
            "reason": _reason(record),
            "log": record.log,
        }
        for record in records
        if record.state != "done"
    ]


def _reason(record: RunRecord) -> str:
    lines = str(record.status.get("reason", "")).strip().splitlines()
    if lines:
        return lines[-1]
    steps = record.status.get("steps")
    return f"at step {record.status.get('step', 0):,} of {steps:,}" if steps else ""


def _environment(study: Study) -> list[list[str]]:
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
