"""The runs of a study, and the results of a plain sweep, as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from lmlab.design.comparison import METRICS
from lmlab.study.markdown import number_text
from lmlab.study.plain_text import csv_cell

_RUN_COLUMNS = (
    "arm", "lr", "seed", "purpose", "status", "steps", "tokens", "seconds", "loss",
    "bits_per_byte",
)  # fmt: skip


def render_csv(content: dict[str, Any]) -> str:
    """Render one row per run, started or not, with final values, empty without any.

    ``loss`` is in nats per token, whatever metric the study compares runs by. The seeds of
    initialization and data, where a run pins one, and swept settings follow as further columns.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    swept = content["sweep"]["keys"]
    values = {row["arm"]: row["values"] for row in content["sweep"]["rows"]}
    pinned = ("init", "data") if any(run["seeds"] for run in content["runs"]) else ()
    columns = [*_RUN_COLUMNS, *(f"seeds.{name}" for name in pinned), *swept]
    writer.writerow(map(csv_cell, columns))
    for run in content["runs"]:
        shown = run | {"lr": number_text(run["lr"])}
        found = values.get(run["arm"], [""] * len(swept))
        seeds = [run["seeds"].get(name, run["seed"]) for name in pinned]
        writer.writerow(
            map(csv_cell, [*(shown[column] for column in _RUN_COLUMNS), *seeds, *found])
        )
    return buffer.getvalue()


def render_sweep_csv(content: dict[str, Any]) -> str:
    """Render the results of a plain sweep: one row per arm, the lowest mean loss first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = ("mean", "sd", "seeds", "status")
    metric = next(key for key, unit in METRICS.items() if unit == content["unit"])
    head = [*content["sweep"]["keys"], f"mean_{metric}", *columns[1:], "arm"]
    writer.writerow(map(csv_cell, head))
    for row in content["sweep"]["rows"]:
        values = [*row["values"], *(row[column] for column in columns), row["arm"]]
        writer.writerow(map(csv_cell, values))
    return buffer.getvalue()
