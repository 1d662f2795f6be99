"""The content of a report: plain values, complete counts, and verdicts at both rates."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

from lmlab.study.report_content import build_content
from lmlab.study.run_records import Study, load_study


def with_design(study: Study, **changes: object) -> Study:
    assert study.manifest is not None and study.manifest.comparison is not None
    design = dataclasses.replace(study.manifest.comparison, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(
        study, manifest=dataclasses.replace(study.manifest, comparison=design)
    )


def test_the_content_is_json_without_special_numbers(write_study: Callable[..., Path]) -> None:
    content = build_content(load_study(write_study(20)))
    text = json.dumps(content, allow_nan=False)  # raises for NaN and infinities
    assert json.loads(text)["counts"] == content["counts"]


def test_every_run_is_counted_once(write_study: Callable[..., Path]) -> None:
    study = load_study(write_study(10_000, fail="post+lr-0.003/seed1000"))
    content = build_content(study)
    assert sum(content["counts"].values()) == len(study.records)
    assert content["counts"]["failed"] == 1
    assert not content["finished"]
    assert len(content["problems"]) == len(study.records) - content["counts"]["done"]


def test_verdicts_at_the_baselines_rate_need_a_search(finished_study: Path) -> None:
    study = load_study(finished_study)
    rates = [row["at"] for row in build_content(study)["verdicts"]]
    assert rates == ["own best lr"] * 3 + ["baseline's lr"] * 2
    own_only = build_content(with_design(study, at_baseline_lr=False))["verdicts"]
    assert {row["at"] for row in own_only} == {"own best lr"}


def test_mean_and_spread_of_an_arm_are_those_of_its_runs(finished_study: Path) -> None:
    study = load_study(finished_study)
    row = next(row for row in build_content(study)["verdicts"] if row["arm"] == "post")
    losses = [
        record.outcome.loss
        for record in study.records
        if record.job.arm == "post" and record.job.lr == row["lr"] and "judged" in record.purposes
    ]
    known = [loss for loss in losses if loss is not None]
    mean = math.fsum(known) / len(known)
    variance = math.fsum((loss - mean) ** 2 for loss in known) / (len(known) - 1)
    assert (row["seeds"], round(row["mean"], 12)) == (5, round(mean, 12))
    assert math.isclose(row["sd"], math.sqrt(variance), rel_tol=1e-9)


def test_the_report_is_dated_by_its_newest_run(finished_study: Path) -> None:
    study = load_study(finished_study)
    times = ["2026-01-02T00:00:00Z", "2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    records = [
        dataclasses.replace(record, status=record.status | {"time": times[index % 3]})
        for index, record in enumerate(study.records)
    ]
    changed = dataclasses.replace(study, records=records)
    assert build_content(changed)["generated"] == times[1]


def test_the_environment_lists_every_value_that_occurs(finished_study: Path) -> None:
    study = load_study(finished_study)
    session = study.records[0].meta["sessions"][0] | {"python": "3.13", "code": {"commit": None}}
    first = dataclasses.replace(
        study.records[0], meta=study.records[0].meta | {"sessions": [session]}
    )
    rows = dict(
        build_content(dataclasses.replace(study, records=[first, *study.records[1:]]))[
            "environment"
        ]
    )
    assert rows["python"] == "3, 3.13"
    assert rows["commit"] == "cccccccccccc, unknown"
    minutes = 20.0 * len(study.records) / 60
    assert rows["training time of all runs"] == f"{minutes:.1f} min"
