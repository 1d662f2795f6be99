"""What the page shows of training beside the validation loss: loss, gradient norm, throughput."""

from __future__ import annotations

import math
from typing import Any

from lmlab.study.run_records import RunRecord, Study

VALUES = ("loss", "grad_norm", "tokens_per_second")
_MAX_POINTS = 120  # per run
_MIN_POINTS = 12
_MAX_POINTS_OF_ALL_RUNS = 6000  # keeps the page of a large study well below a megabyte
_DIGITS = 5


def build_train_curves(study: Study) -> list[dict[str, Any]]:
    """Return the training rows of each run, one list per quantity.

    Long runs are thinned out evenly; the last row is kept. Numbers are rounded to five digits.

    Returns:
        For each run that was evaluated and has training rows: ``curve``, the index of its curve in
        :func:`lmlab.study.run_section.build_curves`, its axes ``steps``, ``tokens`` and
        ``seconds``, and those of :data:`VALUES` that were recorded. A value that is not finite is
        None.
    """
    evaluated = [record for record in study.records if record.validation]
    trained = [(index, record) for index, record in enumerate(evaluated) if record.train]
    share = _MAX_POINTS_OF_ALL_RUNS // max(1, len(trained))
    limit = max(_MIN_POINTS, min(_MAX_POINTS, share))
    return [{"curve": index, **_curve(record, limit)} for index, record in trained]


def _curve(record: RunRecord, limit: int) -> dict[str, Any]:
    step = math.ceil(len(record.train) / limit)
    rows = record.train[::-1][::step][::-1]
    curve: dict[str, Any] = {
        name: [row.get(key) for row in rows]
        for name, key in (("steps", "step"), ("tokens", "tokens"), ("seconds", "seconds"))
    }
    for key in VALUES:
        if any(row.get(key) is not None for row in rows):
            curve[key] = [_rounded(row.get(key)) for row in rows]
    return curve


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")
