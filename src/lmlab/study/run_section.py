"""The parts of a report about its runs: curves, losses by learning rate, samples, problems."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.ladder_runs import BRACKET, LOWEST_RATE
from lmlab.errors import shorten
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.study_facts import swept_settings

_LONGEST_SAMPLE = 4000  # characters


def finite(value: float | None) -> float | None:
    """Return ``value``, or None where it is not finite and so has no form in JSON."""
    return None if value is None or not math.isfinite(value) else value


def main_purpose(record: RunRecord) -> str:
    """Return the main purpose of a run in its study."""
    order = ("judged", "baseline's lr", "search", BRACKET, LOWEST_RATE, "run")
    return next((purpose for purpose in order if purpose in record.purposes), "run")


def build_curves(study: Study) -> list[dict[str, Any]]:
    """Return the learning curve of each run that was evaluated."""
    return [_curve(record) for record in study.records if record.validation]


def _curve(record: RunRecord) -> dict[str, Any]:
    flops_per_token = 3 * int(record.meta.get("forward_flops_per_token") or 0)
    rows = record.validation
    return {
        "arm": record.job.arm,
        "seed": record.job.seed,
        "lr": record.lr,
        "purpose": main_purpose(record),
        "status": record.state,
        "steps": [row["step"] for row in rows],
        "tokens": [row.get("tokens", 0) for row in rows],
        "seconds": [row.get("seconds", 0) for row in rows],
        "flops": [flops_per_token * row.get("tokens", 0) for row in rows],
        "loss": [finite(row[record.metric]) for row in rows],
    }


def build_rates(study: Study) -> list[dict[str, Any]]:
    """Return the final loss of each finished run whose learning rate the study chose or swept."""
    is_swept = "optim.lr" in swept_settings(study)
    return [
        {
            "arm": record.job.arm,
            "seed": record.job.seed,
            "lr": record.lr,
            "purpose": main_purpose(record),
            "loss": record.outcome.loss,
            "status": record.state,
        }
        for record in study.records
        if record.lr is not None
        and record.outcome.is_final
        and (record.job.lr is not None or is_swept)
    ]


def build_runs(study: Study) -> list[dict[str, Any]]:
    """Return one row for each run that the study needs, whether or not it started."""
    return [
        {
            "arm": record.job.arm,
            "lr": record.lr,
            "seed": record.job.seed,
            "purpose": main_purpose(record),
            "status": record.shown_state,
            "steps": record.reached("step"),
            "tokens": record.reached("tokens"),
            "seconds": record.reached("seconds"),
            "loss": record.final("loss"),
            "bits_per_byte": record.final("bits_per_byte"),
            "scores": {name: one.mean for name, one in record.scores.items()},
            "seeds": _pinned_seeds(study, record),
            "folder": record.folder,
        }
        for record in study.records
    ]


def _pinned_seeds(study: Study, record: RunRecord) -> dict[str, int]:
    """Return the seeds of initialization and data where one of them does not follow the seed."""
    manifest, number = study.manifest, record.job.number
    seeds = (record.meta.get("identity") or {}).get("config", {}).get("seeds")
    if seeds is None and manifest is not None and number < len(manifest.arms):
        seeds = manifest.job_config(record.job).get("seeds")
    found = {key: seeds[key] for key in ("init", "data") if key in (seeds or {})}
    return found if any(seed != record.job.seed for seed in found.values()) else {}


def build_samples(study: Study) -> list[dict[str, Any]]:
    """Return the texts that the first judged run of each arm generated."""
    samples, seen = [], set()
    for record in study.records:
        if record.job.arm in seen or main_purpose(record) not in ("judged", "run"):
            continue
        texts = re.findall(r"```text\n(.*?)\n```", record.samples, flags=re.DOTALL)
        if not texts:
            continue
        seen.add(record.job.arm)
        loss, settings = record.outcome.loss, _sample_settings(study, record)
        prompts = _prompts(settings, len(texts))
        for prompt, text in zip(prompts, texts, strict=True):
            samples.append(
                {
                    "arm": record.job.arm, "seed": record.job.seed, "prompt": prompt,
                    "text": shorten(text.removeprefix(prompt), _LONGEST_SAMPLE), "loss": loss,
                    "sampling": _sampling(settings),
                }
            )  # fmt: skip
    return samples


def _sample_settings(study: Study, record: RunRecord) -> dict[str, Any]:
    """Return the settings of a run's samples; empty where its configuration is not known."""
    if study.manifest is None or record.job.number >= len(study.manifest.arms):
        return {}
    settings: dict[str, Any] = study.manifest.job_config(record.job)["samples"]
    return settings


def _prompts(settings: Mapping[str, Any], number: int) -> list[str]:
    """Return the prompt of each sample; empty ones where the settings do not name as many."""
    count = settings.get("count", 1)
    prompts = [text for text in settings.get("prompts", []) for _ in range(count)]
    return prompts if len(prompts) == number else [""] * number


def _sampling(settings: Mapping[str, Any]) -> str:
    """Return how samples were drawn: ``temperature 0.8, top-k 50``; empty if not known."""
    labels = {"temperature": "temperature", "top_k": "top-k", "top_p": "top-p"}
    known = {label: settings.get(key) for key, label in labels.items()}
    return ", ".join(f"{label} {value:g}" for label, value in known.items() if value is not None)


def build_problems(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return the runs that are not done, each with its reason and its log."""
    return [
        {
            "arm": record.job.arm,
            "seed": record.job.seed,
            "lr": record.lr,
            "status": record.state,
            "reason": _reason(record),
            "log": record.log,
        }
        for record in records
        if record.state != "done"
    ]


def build_annotations(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return the user's notes and tags, once for the runs of an arm that share them."""
    found: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if record.annotation:
            found.setdefault((record.job.arm, record.annotation), []).append(record)
    return [
        {
            "arm": arm,
            "seeds": ", ".join(map(str, sorted({record.job.seed for record in same}))),
            "notes": same[0].notes or "",
            "tags": ", ".join(same[0].tags),
        }
        for (arm, _), same in found.items()
    ]


def _reason(record: RunRecord) -> str:
    lines = str(record.status.get("reason", "")).strip().splitlines()
    if lines:
        return lines[-1]
    step, steps = record.reached("step") or 0, record.status.get("steps")
    if record.validation and not math.isfinite(record.validation[-1]["loss"]):
        step = record.validation[-1]["step"]
        return f"the last evaluation, at step {step:,} of {steps or step:,}, is not finite"
    return f"at step {step:,} of {steps:,}" if steps else ""
