"""What a study can detect by tasks, before it starts and once its baseline is measured."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from designs import a_design

from lmlab.design.metrics import Metric
from lmlab.run_folder import RunFolder
from lmlab.study.decision_rules import metric_rule
from lmlab.study.power import smallest_detectable
from lmlab.sweep.metric_plan import MetricFacts, describe_metric, metric_facts
from lmlab.tasks.choice_task import ChoiceTask
from lmlab.tasks.cloze_task import ClozeTask
from lmlab.tasks.item_records import write_items
from lmlab.tasks.items import Item

ORDER = Metric("order", "accuracy", "order")
MARGIN = Metric("order.margin", "margin", "order")
FACTS = MetricFacts(400, 0.5, 1.0)
METRICS = ["loss", "order", "order.margin"]


def baseline_runs(path: Path, *accuracies: float) -> list[RunFolder]:
    runs = []
    for seed, accuracy in enumerate(accuracies):
        run = RunFolder(path / str(seed))
        run.path.mkdir()
        right = round(100 * accuracy)
        items = [{"id": at, "accuracy": int(at < right), "margin": 0.1} for at in range(100)]
        write_items(run, "order", 20, items)
        run.append_row({"kind": "validation", "step": 20, "loss": 3.0})
        run.write_status("done")
        runs.append(run)
    return runs


def test_facts_of_tasks() -> None:
    items = tuple(
        Item(str(n), n, "a", ("b",) * n, (1,) * n, 0) for n in (2, 4)
    )  # a guess among two, and among four
    choice = ChoiceTask("order", "h", items, ())
    assert (choice.num_items, choice.chance) == (2, 0.375)
    cloze = ClozeTask("last", "h", items[:1], ())
    assert (cloze.num_items, cloze.chance) == (1, 0.0)
    data: Any = SimpleNamespace(tasks=[choice])
    assert metric_facts(ORDER, data) == MetricFacts(2, 0.375, 1.0)
    assert metric_facts(MARGIN, data) == MetricFacts(2)
    assert metric_facts(Metric("w", "bits_per_byte", "w"), data) == MetricFacts()


def test_facts_of_probes() -> None:
    facts = {"plots": {"num_items": 9, "chance": 0.3, "best": {"accuracy": 0.8, "kl": 0.0}}}
    data: Any = SimpleNamespace(probes=SimpleNamespace(facts=lambda: facts))
    assert metric_facts(Metric("p", "accuracy", "plots", True), data) == MetricFacts(9, 0.3, 0.8)
    assert metric_facts(Metric("p", "kl", "plots", True), data) == MetricFacts(9)


def test_without_runs_answers_count_as_independent() -> None:
    design = a_design(metrics=METRICS)
    (line,) = describe_metric(design, ORDER, FACTS, [])
    assert "varies by 0.0250 over seeds (assumed: independent answers" in line
    rule = metric_rule(design, ORDER)
    expected = smallest_detectable(math.sqrt(2) * 0.025, rule, 3)
    assert f"true difference of {expected:.4f} share of items with probability 80%" in line
    assert line.endswith("or more where the choice of the items matters.")
    (fixed,) = describe_metric(a_design(metrics=METRICS, items="fixed"), ORDER, FACTS, [])
    assert fixed.endswith("80%.")


def test_the_noise_of_the_loss_is_never_taken() -> None:
    for sd in (1e-6, 10.0):
        design = a_design(metrics=METRICS, expected_sd=sd)
        (line,) = describe_metric(design, MARGIN, MetricFacts(400), [])
        assert "its noise is not known before 3 runs of the baseline" in line
        assert "design.expected_sds={order.margin: 0.1}" in line
    stated = a_design(metrics=METRICS, expected_sds={"order.margin": 0.25})
    (line,) = describe_metric(stated, MARGIN, MetricFacts(400), [])
    assert "varies by 0.2500 over seeds (design.expected_sds)" in line


def test_finished_runs_of_the_baseline_replace_what_is_assumed(tmp_path: Path) -> None:
    design = a_design(metrics=METRICS, expected_sds={"order": 0.4})
    runs = baseline_runs(tmp_path, 0.8, 0.85, 0.9)
    line, *others = describe_metric(design, ORDER, FACTS, runs)
    assert "varies by 0.0500 over seeds (in 3 runs of the baseline)" in line and not others
    assert "design.expected_sds" in describe_metric(design, ORDER, FACTS, runs[:2])[0]


def test_a_task_that_cannot_separate_arms(tmp_path: Path) -> None:
    design = a_design(metrics=METRICS)
    few = describe_metric(design, ORDER, MetricFacts(10, 0.5, 1.0), [])
    assert few[1].startswith(
        "This task cannot separate arms at this size: smallest detectable difference 0."
    )
    assert "more than lies between a guess (0.500) and the best possible score (1.000)" in few[1]
    # Once the baseline is measured, what lies between it and either end counts.
    noisy = describe_metric(design, ORDER, FACTS, baseline_runs(tmp_path, 0.45, 0.75, 0.99))
    assert "cannot separate arms" in noisy[1] and "between the baseline (0.730)" in noisy[1]


def test_a_baseline_near_chance(tmp_path: Path) -> None:
    found = describe_metric(
        a_design(metrics=METRICS), ORDER, FACTS, baseline_runs(tmp_path, 0.51, 0.53, 0.5)
    )
    assert "The baseline (0.513) is within the smallest detectable difference" in found[1]


@pytest.mark.parametrize("changes", [{"num_seeds": 1}, {"arms": {"a": []}}])
def test_studies_without_verdicts(changes: dict[str, Any]) -> None:
    assert describe_metric(a_design(metrics=METRICS, **changes), ORDER, FACTS, []) == []
