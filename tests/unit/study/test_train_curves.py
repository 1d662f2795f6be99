"""Training rows in the page: thinned out, rounded, and small whatever the size of the study."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from lmlab.design.job import Job
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.train_curves import build_train_curves


def a_run(rows: int, **changes: Any) -> RunRecord:
    train = [
        {"step": step, "tokens": 64 * step, "seconds": step / 3, "loss": 3.123456789,
         "grad_norm": 1.0 + step, "tokens_per_second": 1234.5678, **changes}
        for step in range(1, rows + 1)
    ]  # fmt: skip
    validation = [{"step": 0, "loss": 4.0}]
    return RunRecord(
        Job("a", None, 0), ("run",), "a", {"status": "done"}, {}, validation, train, ""
    )


def a_study(records: list[RunRecord]) -> Study:
    return Study("s", Path("s"), None, {}, records)


def test_a_short_run_keeps_every_row() -> None:
    (curve,) = build_train_curves(a_study([a_run(5)]))
    assert curve["curve"] == 0 and curve["steps"] == [1, 2, 3, 4, 5]
    assert curve["tokens"][-1] == 320 and curve["grad_norm"] == [2, 3, 4, 5, 6]
    assert curve["loss"] == [3.1235] * 5 and curve["tokens_per_second"] == [1234.6] * 5


def test_a_long_run_keeps_its_last_row_and_even_distances() -> None:
    (curve,) = build_train_curves(a_study([a_run(10_000)]))
    assert curve["steps"][-1] == 10_000 and 60 <= len(curve["steps"]) <= 120
    assert len({b - a for a, b in zip(curve["steps"], curve["steps"][1:], strict=False)}) == 1


def test_a_large_study_stays_small() -> None:
    curves = build_train_curves(a_study([a_run(1000)] * 300))
    assert len(curves) == 300
    assert len(json.dumps(curves)) < 500_000


def test_what_was_not_recorded_is_left_out() -> None:
    runs = [a_run(3, grad_norm=None, loss=math.nan), a_run(0), a_run(2)]
    first, last = build_train_curves(a_study(runs))
    assert "grad_norm" not in first and first["loss"] == [None] * 3
    assert last["curve"] == 2, "the index of the run's curve"
