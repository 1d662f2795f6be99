"""Verdicts by further metrics: from the items in run folders to report, page and tables."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_studies import NUM_ITEMS, task_manifest, write_task_study

from lmlab.study.csv_tables import render_csv, render_verdicts_csv
from lmlab.study.item_test import ItemPairs
from lmlab.study.markdown import render_markdown
from lmlab.study.page import render_page
from lmlab.study.report_content import build_content
from lmlab.study.run_records import Study, load_study
from lmlab.study.statistics import compare_by
from lmlab.study.verdict_section import judge_all
from lmlab.study.verdicts import OWN_RATE, Verdict, judge, metric_rule
from lmlab.study.write_records import write_compact

EFFECTS = {"post": -0.5, "none": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task_study(task_manifest(), tmp_path_factory.mktemp("tasks"), EFFECTS)


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return load_study(folder)


@pytest.fixture(scope="module")
def content(study: Study) -> dict[str, Any]:
    return build_content(study)


def by_name(verdicts: list[Verdict]) -> dict[tuple[str, str], Verdict]:
    return {(one.metric.name, one.arm): one for one in verdicts}


def test_verdicts_by_metric(study: Study) -> None:
    found = by_name(judge_all(study))
    assert found["order.margin", "post"].label == "worse", "a lower margin is worse"
    assert found["order", "post"].label == "worse"
    assert found["order.margin", "none"].label == "inconclusive"
    assert found["loss", "post"].label in ("inconclusive", "no difference")
    assert found["order.margin", "again"].is_replicate
    assert {name for name, _ in found} == {
        "loss",
        "order",
        "order.margin",
        "probes.plots.kl",
        "wiki",
    }
    assert found["wiki", "post"].losses[0] == pytest.approx(
        found["loss", "post"].losses[0] / 3  # type: ignore[operator]
    )


def test_the_level_is_shared_over_arms_and_metrics(study: Study) -> None:
    assert study.manifest is not None and study.manifest.comparison is not None
    design, verdicts = study.manifest.comparison, judge_all(study)
    tested = [one for one in verdicts if not one.is_replicate]
    assert design.family == len(tested) == 2 * 5
    ps = sorted(one.comparison.p for one in tested if one.comparison)
    clearest = min(tested, key=lambda one: one.comparison.p if one.comparison else 1)
    assert clearest.comparison is not None
    assert clearest.comparison.adjusted_p == pytest.approx(10 * ps[0])
    # Without the scores, the p-values of the loss count the other metrics all the same.
    alone = by_name(judge(study.manifest, study.outcomes))
    for arm in ("post", "none"):
        found = alone["loss", arm].comparison
        together = by_name(verdicts)["loss", arm].comparison
        assert found is not None and together is not None
        assert found.adjusted_p >= together.adjusted_p
        assert found.adjusted_p >= min(1, 10 * min(found.p, 0.1)) - 1e-12


def test_the_test_sees_each_item(study: Study) -> None:
    """The verdict is that of the item-paired sample, computed here from the files."""
    assert study.manifest is not None and study.manifest.comparison is not None
    root = study.folder

    def margins(arm: str) -> np.ndarray[Any, Any]:
        files = [root / arm / f"seed{seed}" / "tasks" / "order.jsonl" for seed in range(4)]
        return np.array(
            [[json.loads(line)["margin"] for line in file.read_text().splitlines()]
             for file in files]
        )  # fmt: skip

    verdict = by_name(judge_all(study))["order.margin", "post"]
    rule = metric_rule(study.manifest.comparison, verdict.metric)
    (expected,) = compare_by([(ItemPairs(margins("post") - margins("rms")), rule)], 10)
    assert verdict.comparison is not None
    assert verdict.comparison.difference == pytest.approx(expected.difference)
    assert verdict.comparison.p == pytest.approx(expected.p)
    assert expected.items_error > 0 or expected.p < 1


def test_the_margin_of_the_loss_is_not_that_of_a_task(tmp_path: Path) -> None:
    wide = task_manifest(margin=100.0)
    found = by_name(judge_all(load_study(write_task_study(wide, tmp_path / "a", {}))))
    assert found["loss", "none"].label == "no difference"
    assert found["order.margin", "none"].label == "inconclusive"
    own = task_manifest(margins={"order.margin": 100.0})
    found = by_name(judge_all(load_study(write_task_study(own, tmp_path / "b", {}))))
    assert found["order.margin", "none"].label == "no difference"


def test_fixed_items_narrow_the_interval(tmp_path: Path, study: Study) -> None:
    fixed = load_study(write_task_study(task_manifest(items="fixed"), tmp_path, EFFECTS))
    one, other = (by_name(judge_all(each))["order.margin", "post"] for each in (study, fixed))
    assert one.comparison is not None and other.comparison is not None
    assert one.comparison.difference == pytest.approx(other.comparison.difference)
    assert other.comparison.items_error == 0
    assert other.comparison.p <= one.comparison.p


def test_a_run_without_its_items_is_left_out(tmp_path: Path) -> None:
    folder = write_task_study(task_manifest(), tmp_path, EFFECTS, lose=("post/seed1",))
    lost = load_study(folder)
    found = by_name(judge_all(lost))
    (notes,) = (one["notes"] for one in build_content(lost)["metrics"] if one["name"] == "order")
    assert any("post is compared on 3 pairs; left out is seed 1" in note for note in notes)
    assert found["order.margin", "post"].pairs == (0, 2, 3)
    assert found["order.margin", "post"].unpaired == (1,)
    assert found["loss", "post"].pairs == (0, 1, 2, 3)


def test_tokenizers_that_differ(study: Study) -> None:
    costs = study.arm_costs | {"post": study.arm_costs["post"] | {"tokenizer": "o" * 64}}
    found = by_name(judge_all(dataclasses.replace(study, arm_costs=costs)))
    assert found["probes.plots.kl", "post"].label == "not comparable"
    assert "tokenizer decides" in found["probes.plots.kl", "post"].detail
    assert found["order", "post"].label == "worse"
    assert found["wiki", "post"].comparison is not None, "bits per byte are comparable"


def test_the_content_of_a_report(content: dict[str, Any]) -> None:
    assert [row["arm"] for row in content["verdicts"]] == ["post", "none", "again"]
    metrics = {one["name"]: one for one in content["metrics"]}
    margin = metrics["order.margin"]
    assert margin["items"] == NUM_ITEMS and margin["sense"] == "higher is better"
    assert [row["arm"] for row in margin["rows"]] == ["post", "none", "again"]
    assert margin["baseline"]["seeds"] == 4 and margin["baseline"]["sd"] is not None
    assert metrics["wiki"]["items"] is None and metrics["wiki"]["sense"] == "lower is better"
    line = next(text for text in content["headline"] if text.startswith("order.margin: "))
    assert "worse than rms, in nats per item: post by 0." in line
    assert "replicate: no difference found, as expected" in line


def test_the_noise_of_a_metric_is_its_own(study: Study, content: dict[str, Any]) -> None:
    (metric,) = (one for one in content["metrics"] if one["name"] == "order.margin")
    means = [study.scores[job]["order.margin"].mean for job in study.scores if job.arm == "rms"]
    noise = metric["notes"][-1]
    assert f"standard deviation of {np.std(means, ddof=1):.4f}" in noise
    assert "choice of the items adds" in noise and "clearest of 10 verdicts" in noise
    assert any("read as a sample" in note for note in metric["notes"])
    (wiki,) = (one for one in content["metrics"] if one["name"] == "wiki")
    assert "items" not in wiki["notes"][-1]


def test_tables(content: dict[str, Any]) -> None:
    text = render_markdown(content, [])
    assert "### order (accuracy)" in text and "### order.margin" in text
    assert "| **worse**, by 0." in text
    page = render_page(content)
    assert "Verdicts by further metrics" in page and "worse, by 0." in page
    rows = list(csv.DictReader(io.StringIO(render_verdicts_csv(content))))
    assert len(rows) == 5 * 3 and rows[0]["metric"] == "loss"
    (row,) = (one for one in rows if (one["metric"], one["arm"]) == ("order.margin", "post"))
    assert (row["verdict"], row["items"], row["pairs"]) == ("worse", str(NUM_ITEMS), "4")
    assert float(row["high"]) < 0 and float(row["adjusted_p"]) <= 0.05
    runs = list(csv.DictReader(io.StringIO(render_csv(content))))
    assert float(runs[0]["order.margin"]) and float(runs[0]["wiki"])


def test_a_study_without_metrics_shows_none(tmp_path: Path) -> None:
    plain = build_content(load_study(write_task_study(task_manifest(metrics=[]), tmp_path, {})))
    assert plain["metrics"] == []
    assert "further metrics" not in render_page(plain)
    assert "wiki" not in render_csv(plain)


def test_compact_records_give_the_same_report(
    study: Study, content: dict[str, Any], tmp_path: Path
) -> None:
    write_compact(study, tmp_path)
    again = build_content(load_study(tmp_path))
    assert again["metrics"] == content["metrics"]
    assert again["headline"] == content["headline"]
    assert by_name(judge_all(load_study(tmp_path)))["order", "post"].at == OWN_RATE
