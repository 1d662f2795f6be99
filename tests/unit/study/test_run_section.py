"""Curves, rates, samples and problems of a report, from records made by hand."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.design.job import Job
from lmlab.study.run_records import RunRecord, Study, load_study
from lmlab.study.run_section import (
    build_curves,
    build_problems,
    build_rates,
    build_samples,
    finite,
)


def a_record(status: dict[str, Any], **fields: Any) -> RunRecord:
    values: dict[str, Any] = {
        "job": Job("rms", 0.1, 0), "purposes": ("judged",), "folder": "norms/rms/seed0",
        "status": status, "meta": {}, "validation": [], "train": [], "samples": "",
    }  # fmt: skip
    return RunRecord(**(values | fields))


def a_study(*records: RunRecord) -> Study:
    return Study("norms", Path("."), None, {}, list(records))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.5, 1.5), (0.0, 0.0), (None, None), (math.nan, None), (-math.inf, None)],
)
def test_values_that_json_cannot_hold_become_none(
    value: float | None, expected: float | None
) -> None:
    assert finite(value) == expected


def test_flops_of_a_curve_are_those_of_forward_and_backward_pass() -> None:
    rows = [{"step": 0, "tokens": 0, "seconds": 0.0, "loss": 5.0},
            {"step": 9, "tokens": 90, "seconds": 1.0, "loss": math.nan}]  # fmt: skip
    record = a_record(
        {"status": "diverged"}, validation=rows, meta={"forward_flops_per_token": 200}
    )
    (curve,) = build_curves(a_study(record, a_record({"status": "running"})))
    assert curve["flops"] == [0, 3 * 200 * 90]
    assert curve["loss"] == [5.0, None]


@pytest.mark.parametrize(
    ("purposes", "shown"),
    [
        (("search", "judged"), "judged"),
        (("search", "baseline's lr"), "baseline's lr"),
        (("search",), "search"),
        (("unknown",), "run"),
    ],
)
def test_a_run_of_several_purposes_is_shown_under_the_main_one(
    purposes: tuple[str, ...], shown: str
) -> None:
    rows = [{"step": 0, "tokens": 0, "seconds": 0.0, "loss": 5.0}]
    record = a_record({"status": "done"}, purposes=purposes, validation=rows)
    assert build_curves(a_study(record))[0]["purpose"] == shown


def test_rates_are_those_of_finished_runs_that_the_study_chose() -> None:
    rows = [{"step": 0, "tokens": 0, "seconds": 0.0, "loss": 5.0}]
    done = a_record({"status": "done"}, validation=rows)
    diverged = a_record({"status": "diverged"}, job=Job("rms", 9.0, 1), validation=rows)
    running = a_record({"status": "running"}, job=Job("rms", 0.2, 0), validation=rows)
    fixed = a_record({"status": "done"}, job=Job("rms", None, 0), validation=rows)
    found = build_rates(a_study(done, diverged, running, fixed))
    assert [(row["lr"], row["loss"]) for row in found] == [(0.1, 5.0), (9.0, None)]


def test_samples_are_those_of_one_judged_run_of_each_arm(finished_study: Path) -> None:
    study = load_study(finished_study)
    samples = build_samples(study)
    assert [sample["arm"] for sample in samples] == [
        arm for arm in dict.fromkeys(sample["arm"] for sample in samples) for _ in range(2)
    ]
    assert {sample["prompt"] for sample in samples} == {"Once upon a time", "One day"}
    judged = {record.job.seed for record in study.records if "judged" in record.purposes}
    assert {sample["seed"] for sample in samples} <= judged
    assert not any(sample["text"].startswith(sample["prompt"]) for sample in samples)


def test_samples_without_known_prompts_are_shown_whole() -> None:
    text = "```text\nfirst\n```\n\n```text\nsecond\nline\n```\n"
    samples = build_samples(a_study(a_record({"status": "done"}, samples=text)))
    assert [(sample["prompt"], sample["text"]) for sample in samples] == [
        ("", "first"), ("", "second\nline"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"status": "failed", "reason": "Traceback\n  x\nValueError: y\n"}, "ValueError: y"),
        ({"status": "diverged", "step": 1200, "steps": 5000}, "at step 1,200 of 5,000"),
        ({"status": "missing"}, ""),
    ],
)
def test_a_problem_states_its_reason_and_log(status: dict[str, Any], reason: str) -> None:
    (problem,) = build_problems([a_record(status), a_record({"status": "done"})])
    assert (problem["reason"], problem["log"]) == (reason, "norms/rms/seed0/train.log")


def test_the_log_of_the_process_takes_precedence() -> None:
    record = a_record({"status": "failed", "log": "norms/sweeps/a/jobs/b.log"})
    assert build_problems([record])[0]["log"] == "norms/sweeps/a/jobs/b.log"
    other = dataclasses.replace(record, status={"status": "failed"})
    assert build_problems([other])[0]["log"] == "norms/rms/seed0/train.log"
