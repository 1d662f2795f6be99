"""Fields of records are checked where they are read; a message names the file and the field."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lmlab.errors import DataError
from lmlab.storage.fields import (
    AMOUNT,
    COUNT,
    COUNTS,
    COUNTS_BY_NAME,
    FILE_NAME,
    FILE_NAMES,
    NUMBER,
    NUMBERS_BY_NAME,
    OBJECT,
    OBJECTS,
    PATH,
    TEXT,
    TEXTS,
    TEXTS_BY_NAME,
    Kind,
    check_fields,
    or_null,
    read_fields,
    valid_fields,
    warn_once,
    wrong_field,
)
from lmlab.storage.json_text import load_json, parse_json


@pytest.fixture(autouse=True)
def warnings(caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    caplog.set_level(logging.WARNING)


@pytest.mark.parametrize(
    ("kind", "valid", "wrong"),
    [
        (NUMBER, [0, -1, 1.5, float("nan"), 2**62], [True, "1", None, [], {}, 10**400, 2**63]),
        (COUNT, [0, 7], [-1, 1.0, True, "7", None, 2**63, 10**400]),
        (AMOUNT, [0, 0.5], [-1, float("nan"), float("inf"), "1", False]),
        (TEXT, ["", "a"], [1, None, ["a"]]),
        (TEXTS, [[], ["a"]], ["a", [1], [None], {}]),
        (PATH, ["", "a/b", "../a", "/a"], [1, None, "a\0b", "x" * 300, "a/" * 3000]),
        (FILE_NAME, ["a.yaml", "a b"], [1, "", ".", "..", "a/b", "../a", "a\0b"]),
        (FILE_NAMES, [[], ["a"]], ["a", ["../a"], [None]]),
        (NUMBERS_BY_NAME, [{}, {"a": 0.5}], [{"a": "1"}, {"a": None}, []]),
        (COUNTS, [[], [0]], [[-1], [1.0], 3]),
        (COUNTS_BY_NAME, [{}, {"a.b": 3}], [{"a": -1}, {"a": True}, [3]]),
        (TEXTS_BY_NAME, [{}, {"a": "b"}], [{"a": 1}, ["a"]]),
        (OBJECT, [{}], [[], "a", None]),
        (OBJECTS, [[], [{}]], [{}, [1], [[]]]),
        (or_null(TEXT), [None, "a"], [1]),
    ],
)
def test_a_kind_accepts_its_values_only(kind: Kind, valid: list[Any], wrong: list[Any]) -> None:
    assert all(wrong_field({"a": value}, {"a": kind}) is None for value in valid)
    for value in wrong:
        message = wrong_field({"a": value}, {"a": kind})
        assert message is not None and message.startswith("a=") and kind.expected in message
        assert len(message) < 150


def test_nested_fields_are_named_in_full(tmp_path: Path) -> None:
    fields = {"floor.note": TEXT, "runs[].code.commit": TEXT}
    content = {"runs": [{}, {"code": {"commit": "a"}}, {"code": {"commit": 3}}]}
    with pytest.raises(DataError, match=r"meta\.json: runs\[2\]\.code\.commit=3: expected a text"):
        check_fields(tmp_path / "meta.json", content, fields)
    assert wrong_field({"floor": [1]}, fields) == "floor=a list of 1: expected a text"
    assert wrong_field({"floor": {}, "runs": []}, fields) is None
    assert wrong_field({}, fields, ("floor",)) == "floor: missing"
    assert wrong_field([1], fields) == "a list of 1: expected an object"
    assert wrong_field({"job": {"arm": "a"}}, {}, ("job.arm",)) is None
    assert wrong_field({"job": {"seed": 1}}, {}, ("job.arm",)) == "job.arm: missing"


def test_fields_that_are_not_valid_count_as_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "status.json"
    content = {"step": "5", "steps": None, "other": 1, "floor": {"note": 2}}
    path.write_text(json.dumps(content))
    fields = {"step": COUNT, "steps": COUNT, "floor.note": TEXT}
    assert read_fields(path, fields) == {"other": 1}
    assert read_fields(path, fields) == {"other": 1}
    assert caplog.messages == [
        f"{path}: step='5': expected an integer of 0 or more; step counts as missing",
        f"{path}: floor.note=2: expected a text; floor counts as missing",
    ]
    assert valid_fields(path, {"step": 5}, fields) == {"step": 5}


def test_fields_that_are_expected_are_told_where_they_are_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "status.json"
    path.write_text('{"step": 1, "tokens": null}')
    fields = {"step": COUNT, "tokens": COUNT}
    assert read_fields(path, fields, ("status", "step", "tokens")) == {"step": 1}
    assert caplog.messages == [f"{path}: status, tokens: missing"]
    caplog.clear()
    assert read_fields(tmp_path / "nowhere.json", fields, ("status",)) == {}
    assert not caplog.messages


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b"3", b"{", b"\xff{}", b"[" * 100_000 + b"]" * 100_000, b'{"a": 1, "a": 2}',
     b'{"a": 1' + b"0" * 5000 + b"}"],
)  # fmt: skip
def test_a_damaged_file_counts_as_missing_and_is_named(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(content)
    assert read_fields(path) == {}
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(f"{path}: ")
    assert read_fields(tmp_path / "nowhere.json") == {} and len(caplog.messages) == 1


@pytest.mark.parametrize("parse", [load_json, parse_json])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "'b' occurs twice"),
        ("[" * 10**5, "nested too deeply"),
        ('{"a": ["b\\ud800"]}', "half of a character"),
        ('{"\\udcff": 1}', "half of a character"),
    ],
)
def test_json_that_means_nothing_is_an_error(parse: Any, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


def test_characters_that_are_escaped_in_two_halves_are_text() -> None:
    assert parse_json('"\\ud83d\\ude00\\u00e9"') == load_json('"\\ud83d\\ude00\\u00e9"') == "😀é"
