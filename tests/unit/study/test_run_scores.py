"""Scores of runs: those of the last evaluation, whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.design.metrics import Metric
from lmlab.run_folder import RunFolder
from lmlab.study.run_scores import RunScores, read_scores
from lmlab.tasks.item_records import write_items

MARGIN = Metric("order.margin", "margin", "order")
KL = Metric("probes.plots.kl", "kl", "plots", is_probe=True)
WIKI = Metric("wiki", "bits_per_byte", "wiki")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    write_items(run, "order", 20, [{"id": "a", "margin": 0.5}, {"id": "b", "margin": -0.25}])
    write_items(run, "probes/plots", 20, [{"id": 0, "kl": 0.1}])
    for step in (0, 20):
        run.append_row({"kind": "validation", "step": step, "loss": 3.0})
        run.append_row({"kind": "tasks", "name": "wiki", "step": step, "bits_per_byte": 1 + step})
    return run


def test_the_scores_of_the_last_evaluation(run: RunFolder) -> None:
    found = read_scores(run, [MARGIN, KL, WIKI], run.rows())
    assert found["order.margin"].values == (0.5, -0.25)
    assert found["order.margin"].mean == 0.125
    assert found["probes.plots.kl"].values == (0.1,)
    assert found["wiki"] == RunScores("", (21,))


def test_scores_of_another_evaluation_are_missing(run: RunFolder) -> None:
    run.append_row({"kind": "validation", "step": 40, "loss": 3.0})
    assert read_scores(run, [MARGIN, KL, WIKI], run.rows()) == {}


@pytest.mark.parametrize("broken", [{"id": "b"}, {"id": "b", "margin": float("nan")}])
def test_an_item_without_a_number_loses_the_run(run: RunFolder, broken: dict[str, Any]) -> None:
    write_items(run, "order", 20, [{"id": "a", "margin": 0.5}, broken])
    assert "order.margin" not in read_scores(run, [MARGIN], run.rows())
