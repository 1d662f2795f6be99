"""Forecasts are sealed once, and what happens to them afterwards is noticed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lmlab.errors import DataError
from lmlab.study.ladders.seals import (
    SEALS_FILE,
    describe_seal,
    read_seals,
    seal_highest_rung,
    started_before,
)
from lmlab.study.sweep_folder import SweepFolder
from tests.support.ladders import a_ladder, a_ladder_manifest, finish_ladder


def seal_in(root: Path, number: int = 4, **changes: object) -> Path:
    """Seal a ladder of this many rungs; return the file."""
    manifest = a_ladder_manifest(a_ladder(number, **changes), str(root))
    folder = SweepFolder.of(manifest, root)
    folder.path.mkdir(parents=True, exist_ok=True)
    below = finish_ladder(manifest, num_open=number - 1)
    _, is_new = seal_highest_rung(folder, manifest, below)
    assert is_new
    again, is_new = seal_highest_rung(folder, manifest, below)
    assert not is_new and again == read_seals(folder.study_folder / SEALS_FILE).seals[-1]
    return folder.study_folder / SEALS_FILE


def test_a_seal_holds_forecasts_that_the_rung_then_meets(tmp_path: Path) -> None:
    (seal,) = read_seals(seal_in(tmp_path, num_seeds=5)).seals
    assert seal.rung == 4 and seal.arms == ("base", "new") and not seal.reason
    manifest = a_ladder_manifest(a_ladder(4, num_seeds=5), str(tmp_path))
    outcomes = finish_ladder(manifest)
    for arm in ("base", "new"):
        losses = [one.loss for job, one in outcomes.items() if job.arm == f"r4-{arm}" and one.loss]
        assert seal.losses[arm].contains(sum(losses) / len(losses))
    assert seal.log_gains["new"].contains(math.log(1.5))
    assert "new 1." in describe_seal(seal)


def test_a_further_rung_opens_a_new_seal_and_keeps_the_old(tmp_path: Path) -> None:
    path = seal_in(tmp_path)
    before = path.read_bytes()
    seal_in(tmp_path, 5)
    assert path.read_bytes().startswith(before)
    found = read_seals(path)
    assert [seal.rung for seal in found.seals] == [4, 5] and not found.problems


def rewrite(path: Path, row: int, change: str) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    if change == "forecast":
        rows[row]["losses"]["new"]["low"] -= 0.1
    elif change == "time":
        rows[row]["time"] = "2020-01-01T00:00:00Z"
    else:
        del rows[row]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))


@pytest.mark.parametrize(
    ("row", "change", "problem"),
    [
        (0, "forecast", "The forecast of rung 4 that is dated"),
        (1, "time", "The forecast of rung 5 that is dated 2020-01-01T00:00:00Z was changed in"),
        (0, "removed", "A seal before that of"),
    ],
)
def test_tampering_is_noticed(tmp_path: Path, row: int, change: str, problem: str) -> None:
    path = seal_in(tmp_path)
    seal_in(tmp_path, 5)
    rewrite(path, row, change)
    assert any(one.startswith(problem) for one in read_seals(path).problems)


def test_damage_is_told_apart_from_tampering(tmp_path: Path) -> None:
    path = seal_in(tmp_path)
    with path.open("a") as file:
        file.write('{"rung": 5, "ti')
    found = read_seals(path)
    assert len(found.seals) == 1
    assert found.problems == ("1 of the rows of seals.jsonl cannot be read.",)
    assert read_seals(tmp_path / "none.jsonl").seals == ()


def test_runs_that_started_before_the_seal_are_named(tmp_path: Path) -> None:
    (seal,) = read_seals(seal_in(tmp_path)).seals
    starts = {"r4-new/seed0": "2020-01-01T00:00:00Z", "r4-new/seed1": seal.time, "r4-base": ""}
    assert started_before(seal, starts) == ["r4-new/seed0"]


def test_a_rung_too_far_above_is_not_forecast(tmp_path: Path) -> None:
    (seal,) = read_seals(seal_in(tmp_path, max_factor=3.0)).seals
    assert not seal.losses and "10 times the compute" in seal.reason
    assert "no forecast" in describe_seal(seal)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("losses", {"new": {"value": 1.0, "low": 0.5}}),
        ("losses", {"new": 1.0}),
        ("log_gains", {"new": {"value": 1.0, "low": "much", "high": 2.0}}),
        ("rung", 0),
        ("alpha", 1.5),
        ("hash", 5),
    ],
)
def test_a_row_that_cannot_be_read_is_told_and_the_next_seal_stands(
    tmp_path: Path, key: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = seal_in(tmp_path)
    row = json.loads(path.read_text())
    path.write_text(json.dumps(row | {key: value}) + "\n")
    found = read_seals(path)
    assert not found.seals and found.problems == ("1 of the rows of seals.jsonl cannot be read.",)
    assert f"{path}: {key}" in caplog.text
    seal_in(tmp_path, 5)
    found = read_seals(path)
    assert [seal.rung for seal in found.seals] == [5] and len(found.problems) == 1


def test_a_file_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / SEALS_FILE).mkdir()
    with pytest.raises(DataError, match=r"seals\.jsonl cannot be read: Is a directory"):
        read_seals(tmp_path / SEALS_FILE)


def test_a_ladder_in_another_folder_keeps_its_seal(tmp_path: Path) -> None:
    path = seal_in(tmp_path / "one")
    moved = tmp_path / "two"
    (tmp_path / "one").rename(moved)
    manifest = a_ladder_manifest(a_ladder(), str(moved))
    folder = SweepFolder.of(manifest, moved)
    seal, is_new = seal_highest_rung(folder, manifest, finish_ladder(manifest, num_open=3))
    assert not is_new and seal.sweep != manifest.id
    assert len(read_seals(moved / path.relative_to(tmp_path / "one")).seals) == 1
