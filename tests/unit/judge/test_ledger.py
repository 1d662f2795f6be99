"""Rows that are only appended: kills are survived, and edits are noticed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lmlab.errors import DataError, LockedError
from lmlab.judge.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(tmp_path / "a" / "ledger")
    for number in range(4):
        found.append("row", {"number": number, "value": number / 3})
    return found


def lines(ledger: Ledger) -> list[bytes]:
    return ledger.path.read_bytes().splitlines(keepends=True)


def test_rows_are_read_as_they_were_written(ledger: Ledger) -> None:
    rows = ledger.rows()
    assert [(row["kind"], row["number"], row["value"]) for row in rows] == [
        ("row", number, number / 3) for number in range(4)
    ]
    assert [row["previous"] for row in rows] == ["", *(row["hash"] for row in rows[:-1])]


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no ledger"):
        Ledger(tmp_path).rows()


def test_an_edited_row_is_noticed(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()
    ledger.path.write_bytes(re.sub(rb'("number": ?)2', rb"\g<1>7", before))
    assert ledger.path.read_bytes() != before
    with pytest.raises(DataError, match="row 3 was changed") as caught:
        ledger.rows()
    assert caught.value.help is not None
    with pytest.raises(DataError, match="row 3 was changed"):
        ledger.append("row", {})


@pytest.mark.parametrize("removed", [0, 1, 2, 3])
def test_a_removed_row_is_noticed(ledger: Ledger, removed: int) -> None:
    kept = lines(ledger)
    ledger.path.write_bytes(b"".join(kept[:removed] + kept[removed + 1 :]))
    with pytest.raises(DataError, match=r"changed|removed"):
        ledger.rows()


def test_an_edited_row_with_a_new_hash_is_noticed(ledger: Ledger) -> None:
    from lmlab.storage.io import hash_json

    rows = [json.loads(line) for line in lines(ledger)]
    rows[-1]["number"] = 7
    rows[-1]["hash"] = hash_json({k: v for k, v in rows[-1].items() if k != "hash"})
    ledger.path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"head\.json"):
        ledger.rows()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_kill_inside_a_row_loses_that_row_alone(ledger: Ledger, cut: int) -> None:
    whole = ledger.path.read_bytes()
    with open(ledger.path, "ab") as file:
        file.write(lines(ledger)[-1][:cut])  # without its end
    assert len(ledger.rows()) == 4
    ledger.append("row", {"number": 4})
    assert ledger.path.read_bytes().startswith(whole)
    assert [row.get("number") for row in ledger.rows()] == [0, 1, 2, 3, 4]


def test_a_kill_between_row_and_head_loses_nothing(ledger: Ledger) -> None:
    head = (ledger.folder / "head.json").read_bytes()
    ledger.append("row", {"number": 4})
    (ledger.folder / "head.json").write_bytes(head)
    assert len(ledger.rows()) == 5
    ledger.append("row", {"number": 5})
    assert len(ledger.rows()) == 6


def test_a_lost_head_is_noticed_after_the_first_row(ledger: Ledger, tmp_path: Path) -> None:
    (ledger.folder / "head.json").unlink()
    with pytest.raises(DataError, match=r"head.json: missing"):
        ledger.rows()
    other = Ledger(tmp_path / "b")
    other.append("row", {})
    (other.folder / "head.json").unlink()
    assert len(other.rows()) == 1


def test_two_processes_do_not_write_at_once(ledger: Ledger) -> None:
    with ledger.lock(), pytest.raises(LockedError), ledger.lock():
        pass
