"""The runs of a study as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from lmlab.study.csv_tables import render_csv
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


def test_the_csv_has_the_final_values_of_each_run(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    rows = list(csv.reader(io.StringIO(render_csv(content))))
    assert rows[0] == [
        "arm", "lr", "seed", "purpose", "status", "steps", "tokens", "seconds", "loss",
        "bits_per_byte",
    ]  # fmt: skip
    assert len(rows) - 1 == len(content["runs"]) == sum(content["counts"].values())
    curves = {(curve["arm"], curve["lr"], curve["seed"]): curve for curve in content["curves"]}
    for row in rows[1:]:
        curve = curves[row[0], float(row[1]), int(row[2])]
        loss = curve["loss"][-1]
        assert row[4] == curve["status"] and int(row[6]) == curve["tokens"][-1]
        assert row[8] == ("" if loss is None else str(loss)), "a diverged run has no loss"
        assert row[9] == ("" if loss is None else str(loss / 3))
