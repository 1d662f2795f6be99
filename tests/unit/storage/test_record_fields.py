"""Rows of metrics whose fields are not valid count as missing, and are told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.storage.fields import warn_once, wrong_field
from lmlab.storage.record_fields import META, STATUS, metric_rows, source_rows, with_losses

ROW = {"kind": "validation", "step": 5, "tokens": 64, "seconds": 0.5, "loss": 3.0}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"loss": "3.0"}, "loss='3.0': expected a number or null"),
        ({"step": -1}, "step=-1: expected an integer of 0 or more"),
        ({"loss": 10**400}, "loss=an integer of more than 40 digits"),
        ({"kind": []}, "kind=a list of 0: expected a text"),
    ],
)
def test_a_row_with_a_wrong_field_is_missing_and_named(
    change: dict[str, Any], named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    path = tmp_path / "metrics.jsonl"
    assert metric_rows(path, [ROW, ROW | change]) == [ROW]
    (message,) = caplog.messages
    assert message.startswith(f"{path}: {named}")


def test_rows_without_a_loss_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    path = tmp_path / "metrics.jsonl"
    without = {key: value for key, value in ROW.items() if key != "loss"}
    null = ROW | {"loss": None}  # a number that was not finite
    assert metric_rows(path, [without, null]) == [without, null]
    assert with_losses(path, [without, null], "validation") == [null]
    assert len(caplog.messages) == 1 and "loss: missing" in caplog.messages[0]


def test_records_of_a_run_have_these_fields() -> None:
    assert wrong_field({"status": "done", "step": 5, "seconds": 1.5}, STATUS) is None
    session = {"time": "2026", "code": None, "versions": {}, "command": ["a"]}
    assert wrong_field({"sessions": [session], "floor": {"note": "a"}}, META) is None
    assert (
        wrong_field({"sessions": [3]}, META) == "sessions=a list of 1: expected a list of objects"
    )


def test_losses_on_sources_are_rows_of_tasks() -> None:
    row = ROW | {"kind": "validation", "loss/a": 2.0, "bits_per_byte/a": 1.5, "loss/b": 3.0}
    where = {key: row[key] for key in ("step", "tokens", "seconds")}
    unknown = row | {"bits_per_byte/b": math.nan}
    assert source_rows([ROW | {"kind": "train", "loss/a": 1.0}, unknown]) == [
        {"kind": "tasks", "name": "validation/a", **where, "loss": 2.0, "bits_per_byte": 1.5},
        {"kind": "tasks", "name": "validation/b", **where, "loss": 3.0},
    ]
    assert source_rows([ROW | {"kind": "validation"}]) == []
