"""Records beside a write-up are read whole, or an error names the file and the field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmlab.errors import DataError
from lmlab.study.compact_records import read_compact
from lmlab.study.run_records import load_study
from lmlab.study.write_records import write_compact


@pytest.fixture
def records(finished_study: Path, tmp_path: Path) -> Path:
    write_compact(load_study(finished_study), tmp_path / "records")
    return tmp_path / "records"


def test_all_that_was_written_is_read(records: Path, finished_study: Path) -> None:
    manifest, costs, rows = read_compact(records)
    study = load_study(finished_study)
    assert manifest == study.manifest and costs == study.arm_costs
    assert [row["job"] for row in rows] == [record.job for record in study.records]


@pytest.mark.parametrize(
    ("name", "key", "value", "named"),
    [
        ("facts.json", "rms", 3, r"facts\.json: rms: 3: expected an object"),
        ("manifest.json", "names", "rms", r"manifest\.json: names='rms': expected a list of texts"),
        ("manifest.json", "comparison", {}, r"manifest\.json: "),
    ],
)
def test_a_wrong_field_is_named(
    records: Path, name: str, key: str, value: object, named: str
) -> None:
    content = json.loads((records / name).read_text())
    (records / name).write_text(json.dumps(content | {key: value}))
    with pytest.raises(DataError, match=f"^{records}: invalid records: .*{named}"):
        read_compact(records)


@pytest.mark.parametrize("damage", ["cut", "wrong", "no JSON", "a row less", "twice"])
def test_no_row_is_left_out_silently(records: Path, damage: str) -> None:
    path = records / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    row = json.loads(lines[1])
    lines[1] = json.dumps(row | {"seed": "1"}) + "\n" if damage == "wrong" else "{\n"
    text = "".join(lines)
    if damage == "cut":
        text = "".join(lines[:1]) + text[-40:-2]
    if damage in ("a row less", "twice"):
        whole = path.read_text()
        text = whole + whole if damage == "twice" else whole[: whole.rindex("\n", 0, -1) + 1]
    path.write_text(text)
    with pytest.raises(DataError, match=r"invalid records: .*records\.jsonl: "):
        read_compact(records)
