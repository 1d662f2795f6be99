"""The predicted time of a sweep, and its comparison with the actual time."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lmlab.config.compose import compose
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.slots import Slot
from lmlab.sweep.time_prediction import PredictionRecord, makespan, predict_run_seconds


def test_the_makespan_starts_the_longest_run_first_in_the_first_free_slot() -> None:
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 1, 3], 2) == 3
    assert makespan([2, 2, 2], 1) == 6
    assert makespan([], 4) == 0


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 3))
def test_the_makespan_is_within_a_third_of_the_best_schedule(
    seconds: list[int], slots: int
) -> None:
    """Graham's bound for longest-first scheduling, against all assignments of runs to slots."""
    best = min(
        max(
            sum(s for s, at in zip(seconds, slot_of, strict=True) if at == slot)
            for slot in range(slots)
        )
        for slot_of in itertools.product(range(slots), repeat=len(seconds))
    )
    assert best <= makespan(seconds, slots) <= best * (4 / 3 - 1 / (3 * slots)) + 1e-9


def test_without_preflight_nothing_is_predicted(overrides: list[str]) -> None:
    off = compose([*overrides, "runtime.preflight=off"])
    assert predict_run_seconds([off], RunDataCache(), [Slot("cpu")]) is None
    assert predict_run_seconds([], RunDataCache(), [Slot("cpu")]) == []


def test_without_a_prediction_no_record_is_written(tmp_path: Path) -> None:
    assert PredictionRecord(tmp_path, None).finish(3) == ""
    assert PredictionRecord(tmp_path, 4.0).finish(0) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_predicts_its_time_and_compares_it(sweeps: Any) -> None:
    printed = sweeps.run("-m", "optim.lr=1e-3,2e-3", "study=s")
    assert "about 2 runs, predicted" in printed
    assert re.search(r"^predicted .*, took ", printed, flags=re.MULTILINE), printed
    (path,) = (sweeps.outputs / "s" / "sweeps").glob("*/preflight.json")
    record = json.loads(path.read_text())
    assert record["runs"] == 2
    assert record["predicted_seconds"] > 0 and record["actual_seconds"] > 0
    runs = sorted((sweeps.outputs / "s").glob("*/seed*/preflight.json"))
    assert len(runs) == 2
    assert all(json.loads(run.read_text())["actual"]["seconds"] > 0 for run in runs)
    report = (sweeps.outputs / "s" / "report.md").read_text()
    assert "## Predicted and actual" in report

    assert "all runs are already complete" in sweeps.run("-m", "optim.lr=1e-3,2e-3", "study=s")
    assert json.loads(path.read_text()) == record
