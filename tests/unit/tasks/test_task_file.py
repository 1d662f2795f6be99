from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from task_model import tokenizer_of_words

from lmlab.config.task_settings import parse_tasks
from lmlab.errors import DataError
from lmlab.tasks.task_file import TaskFile

TOKENIZER = tokenizer_of_words()
PAIR = {"sentence_good": "the dog", "sentence_bad": "dog the"}


def source(tmp_path: Path, lines: list[Any] | str, **settings: Any) -> TaskFile:
    text = lines if isinstance(lines, str) else "\n".join(json.dumps(one) for one in lines)
    path = tmp_path / "items.jsonl"
    path.write_text(text, encoding="utf-8")
    (entry,) = parse_tasks([{"file": str(path), **settings}])
    return TaskFile(entry)


def test_items_are_numbered_by_their_lines_or_have_ids(tmp_path: Path) -> None:
    text = "\ufeff" + json.dumps(PAIR) + "\r\n\n" + json.dumps(PAIR | {"id": "x"}) + "\n"
    kind, items = source(tmp_path, text).read()
    assert kind == "pairs"
    assert [(item.id, item.line) for item in items] == [("1", 1), ("x", 3)]


def test_max_items_are_spread_over_the_file(tmp_path: Path) -> None:
    file = source(tmp_path, [PAIR] * 10, max_items=4)
    assert [item.id for item in file.read()[1]] == ["1", "3", "6", "8"]
    assert len(source(tmp_path, [PAIR] * 3, max_items=4).read()[1]) == 3


def test_the_hash_is_that_of_the_items_and_of_how_they_are_asked(tmp_path: Path) -> None:
    def hash_of(lines: list[Any] | str, **settings: Any) -> str:
        return source(tmp_path, lines, **settings).load(TOKENIZER, 50).hash

    first = hash_of([PAIR])
    assert hash_of(json.dumps(PAIR | {"linguistics_term": "order"}) + "\n", name="n") == first
    assert hash_of([{"good": "the dog", "bad": "dog the"}]) == first
    assert hash_of([PAIR], delimiter="") != first
    assert hash_of([PAIR, PAIR]) != first
    assert hash_of([PAIR | {"id": "other"}]) != first
    assert hash_of([{"context": "", "choices": ["the dog", "dog the"], "answer": 0}]) != first


def test_a_plain_text_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("one\r\ntwo – three".encode())
    (entry,) = parse_tasks({"wiki": {"text": str(path)}})
    kind, (document,) = TaskFile(entry).read()
    assert (kind, document.text) == ("text", "one\r\ntwo – three")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", r"items\.jsonl: expected one item or more, found an empty file"),
        ("the dog\n", r"line 1: expected a JSON object in UTF-8"),
        (json.dumps(PAIR) + "\n{", r"line 2: expected a JSON object in UTF-8"),
        (json.dumps(PAIR) + '\n{"sentence_good": "a"}', r"line 2: sentence_bad: missing"),
        ('{"good": "a", "good": "b", "bad": "c"}', r"line 1: .*'good' occurs twice"),
        ("[1]", r"line 1: expected a JSON object, found list"),
        ([PAIR | {"id": 5}, PAIR | {"id": "5"}], r"line 2: expected an id of its own, found 5"),
        ([PAIR | {"id": 1.5}], r"line 1: id: expected a text or an integer, found 1\.5"),
        ([{"text": "the dog"}], r"line 1: text may be a cloze"),
    ],
)
def test_a_file_that_is_no_task_is_refused_with_its_line(
    tmp_path: Path, lines: list[Any] | str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        source(tmp_path, lines).check()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (entry,) = parse_tasks([str(tmp_path / "none.jsonl")])
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        TaskFile(entry).check()
    (entry,) = parse_tasks([str(tmp_path)])
    with pytest.raises(DataError, match=r": is a folder"):
        TaskFile(entry).check()


def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    file = source(tmp_path, [PAIR])
    file.entry.path.write_bytes(b'{"good": "caf\xe9", "bad": "b"}')
    with pytest.raises(DataError, match=r"line 1: expected a JSON object in UTF-8"):
        file.check()


def test_an_item_that_does_not_fit_the_context_is_refused_with_its_line(tmp_path: Path) -> None:
    file = source(tmp_path, [PAIR, PAIR | {"sentence_bad": "x" * 60}])
    file.check()
    with pytest.raises(DataError, match=r"line 2: expected continuations of up to .*=50 .* 61"):
        file.load(TOKENIZER, 50)
    task = file.load(TOKENIZER, 61)
    encoded = [PAIR["sentence_good"], PAIR["sentence_bad"], PAIR["sentence_good"], "x" * 60]
    # One token before each and one delimiter; the last token is no input.
    assert task.num_tokens == sum(len(TOKENIZER.encode(f" {text}")) for text in encoded)
