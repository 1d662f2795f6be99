"""Rows of the tables of verdicts, with the baseline's among them."""

from __future__ import annotations

import csv
import dataclasses
import re
import statistics
from pathlib import Path

import pytest

from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.verdict_section import baseline_row
from lmlab.study.write_report import write_report


def test_each_table_of_verdicts_has_a_row_of_the_baseline(finished: Path) -> None:
    write_report(finished)
    with open(finished / "results.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file)
                if row["arm"] == "rms" and row["purpose"] == "judged"]  # fmt: skip
    losses = [float(row["loss"]) for row in rows]
    assert len(losses) == 5
    mean, sd = f"{statistics.fmean(losses):.4f}", f"{statistics.stdev(losses):.4f}"
    text = (finished / "report.md").read_text("utf-8")
    expected = f"| rms | {rows[0]['lr']} | 5 | {mean} | {sd} | 0 |  |  | baseline |"
    assert text.count(expected) == 1, "at the own rates"
    assert f"| rms (baseline) | {rows[0]['lr']} | 5 | {mean} | {sd} | 0 |  |" in text
    page = (finished / "report.html").read_text("utf-8")
    tables = re.findall(r'<table class="verdicts cards">.*?</table>', page, flags=re.DOTALL)
    assert len(tables) == 2
    for table in tables:
        first = re.sub(r"<[^>]*>", " ", re.findall(r"<tr.*?</tr>", table, flags=re.DOTALL)[1])
        assert first.split()[:3] == ["rms", "baseline", "0"] and first.split()[-3:] == [
            "5", mean, sd
        ]  # fmt: skip


def test_runs_that_diverged_are_told_with_their_step(finished: Path) -> None:
    study = load_study(finished)
    records = [
        dataclasses.replace(
            record,
            status={"status": "diverged", "step": 40 + record.job.seed, "steps": 1000},
            validation=[], train=[],
        )
        if record.job.arm in ("rms", "post")
        and "judged" in record.purposes
        and record.job.seed < 2
        else record
        for record in study.records
    ]  # fmt: skip
    study = dataclasses.replace(study, records=records)
    row = next(row for row in build_content(study)["verdicts"] if row["arm"] == "post")
    assert row["verdict"] + row["detail"] == "diverged with 2 of 5 seeds, at steps 40 and 41"
    baseline = baseline_row(study)
    assert baseline is not None and baseline["seeds"] == 3
    assert baseline["detail"] == ", seeds 0, 1 diverged"


def test_one_order_of_arms_for_all_tables_the_baseline_first(finished: Path) -> None:
    study = load_study(finished)
    assert study.manifest is not None and study.manifest.comparison is not None
    design = dataclasses.replace(study.manifest.comparison, baseline="post", at_baseline_lr=False)
    manifest = dataclasses.replace(study.manifest, comparison=design)
    content = build_content(dataclasses.replace(study, manifest=manifest))
    order = ["post", "rms", "none", "again"]
    assert [arm["name"] for arm in content["arms"]] == order
    assert [row[0] for row in content["costs"]["rows"]] == order[:-1]
    assert [content["baseline"]["arm"], *(row["arm"] for row in content["verdicts"])] == order
    for key in ("runs", "rates", "curves", "problems", "samples"):
        found = list(dict.fromkeys(row["arm"] for row in content[key]))
        assert found == [arm for arm in order if arm in found] and len(found) >= 3, key


@pytest.mark.parametrize("key", ["baseline", "verdicts"])
def test_without_a_comparison_there_are_no_verdicts(finished_study: Path, key: str) -> None:
    study = load_study(finished_study)
    assert study.manifest is not None
    manifest = dataclasses.replace(study.manifest, comparison=None)
    assert not build_content(dataclasses.replace(study, manifest=manifest))[key]


def test_a_stored_study_of_two_tokenizers_and_one_loss_has_no_better_or_worse(
    finished: Path,
) -> None:
    study = load_study(finished)
    costs = {arm: dict(one) for arm, one in study.arm_costs.items()}
    costs["post"]["tokenizer"] = "u" * 64
    content = build_content(dataclasses.replace(study, arm_costs=costs))
    rows = [row for row in content["verdicts"] if row["arm"] == "post"]
    assert [row["verdict"] for row in rows] == ["not comparable"] * 2
    assert all(row["difference"] is None and row["adjusted_p"] is None for row in rows)
    assert "tokenizers" in rows[0]["detail"]
    lines = "\n".join(content["headline"])
    assert "Worse" not in lines and "Not comparable with rms" in lines and ": post." in lines
    assert "Better than rms, in nats per token: none by" in lines, (
        "one tokenizer, so a verdict stays"
    )
