"""How accurately the preflight predicted the cost of a study's runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from lmlab.console.formatting import format_bytes, format_duration
from lmlab.study.run_records import RunRecord

COLUMNS = [
    "per run", "predicted (median)", "actual (median)", "actual / predicted (median)",
    "actual / predicted (range)", "runs",
]  # fmt: skip
_QUANTITIES: dict[str, tuple[str, Callable[[float], str]]] = {
    "seconds": ("total time", format_duration),
    "training_seconds": ("time of the training steps", format_duration),
    "peak_bytes": ("peak memory", format_bytes),
    "disk_bytes": ("disk space", format_bytes),
}


def prediction_accuracy(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Tabulate predicted and actual cost over the runs that recorded both."""
    rows = []
    for key, (name, show) in _QUANTITIES.items():
        pairs = [pair for record in records if (pair := _pair(record, key)) is not None]
        if not pairs:
            continue
        ratios = [actual / predicted for predicted, actual in pairs]
        rows.append(
            [
                name,
                show(statistics.median(predicted for predicted, _ in pairs)),
                show(statistics.median(actual for _, actual in pairs)),
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                str(len(pairs)),
            ]
        )
    return {"columns": COLUMNS, "rows": rows}


def _pair(record: RunRecord, key: str) -> tuple[float, float] | None:
    if record.shown_state == "stopped early":  # predicted were all steps
        return None
    predicted = (record.preflight.get("predicted") or {}).get(key)
    actual = (record.preflight.get("actual") or {}).get(key)
    return (predicted, actual) if predicted and actual else None
