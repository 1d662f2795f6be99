"""Compact records of a ladder hold its seals, and when its runs started."""

from __future__ import annotations

import json
from pathlib import Path

from lmlab.study.ladders.seals import SEALS_FILE, read_seals, seals_file
from lmlab.study.run_records import load_study
from lmlab.study.write_records import write_compact
from tests.support.ladder_folders import write_ladder
from tests.support.ladders import a_ladder


def test_seals_and_starts_are_kept(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path / "outputs", a_ladder(4, max_factor=12.0))
    study = load_study(folder)
    paths = write_compact(study, tmp_path / "records")
    assert paths[-1].name == SEALS_FILE
    assert paths[-1].read_bytes() == (folder / SEALS_FILE).read_bytes()
    kept = load_study(tmp_path / "records")
    assert [one.started for one in kept.records] == [one.started for one in study.records]
    assert kept.records[0].started.startswith("2099-01-01")
    assert read_seals(seals_file(kept.folder)) == read_seals(seals_file(study.folder))
    (sweep,) = (folder / "sweeps").iterdir()
    assert read_seals(seals_file(load_study(sweep).folder)).seals


def test_older_records_know_no_start(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path / "outputs", a_ladder(2, sealed=False))
    write_compact(load_study(folder), tmp_path / "records")
    path = tmp_path / "records" / "records.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["started"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {one.started for one in load_study(tmp_path / "records").records} == {""}
