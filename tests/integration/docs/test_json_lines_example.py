"""The data source that docs/extending.md shows: what it reads, and what it reports."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any

import pytest

from lmlab.errors import DataError

PAGE = Path(__file__).parents[3] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def source() -> Any:
    """``JsonLines`` of the page."""
    code = re.search(r"^```python file=my_parts\.py\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert code is not None
    module = types.ModuleType("my_parts")
    exec(compile(code[1], str(PAGE), "exec"), module.__dict__)
    return module.JsonLines


def prepare(source: Any, tmp_path: Path, content: bytes, field: str = "text") -> list[str]:
    """The texts that the source makes of a file, in the order of its lines."""
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    corpus = source(tmp_path / "cache", path=str(path), field=field).prepare()
    parts = [p.read_bytes().decode().split("\n<|endoftext|>\n")
             for p in (*corpus.valid.paths, *corpus.train.paths)]  # fmt: skip
    assert all(part[-1] == "" for part in parts)
    return [text for part in parts for text in part[:-1]]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b'{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        ('{"text": "a\u2028b\x85c"}\n{"text": "b"}'.encode(), ["a\u2028b\x85c", "b"]),
        (b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "b", "n": null}\r\n', ["a", "b"]),
        (b'{"text": "\\ud83d\\ude00"}\n{"text": ""}\n', ["\U0001f600", ""]),
        (b'{"text": "a\\nb"}\n{"text": "c\\r\\nd"}\n', ["a\nb", "c\r\nd"]),
    ],
)
def test_each_line_is_a_text(source: Any, tmp_path: Path, content: bytes, texts: list[str]) -> None:
    assert prepare(source, tmp_path, content) == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": null}', "line 2: text: expected a string, found null"),
        (b'{"text": "a"}\n{"text": ["b"]}', r'line 2: text: expected a string, found \["b"\]'),
        (b'{"text": "a"}\n\n{"body": "b"}', "line 3: no field text; it has body"),
        (b'{"text": "a"}\n["b"]', "line 2: expected an object, found list"),
        (b'{"text": "a"}\n{"text": "b"', "line 2: expected JSON in UTF-8"),
        (b'{"text": "caf\xe9"}\n', "line 1: expected JSON in UTF-8"),
        (b'{"text": "a\\ud83d"}\n', "lone surrogate"),
        (b'{"text": "a"}\n', "expected 2 texts or more, found 1"),
        (b"", "expected 2 texts or more, found 0"),
    ],
)
def test_a_line_that_is_no_text_is_reported(
    source: Any, tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path, content)


def test_a_misspelt_field_gets_a_suggestion(source: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match='did you mean "body"'):
        prepare(source, tmp_path, b'{"body": "a"}\n{"body": "b"}\n', field="bdy")
    with pytest.raises(DataError, match="no such file"):
        source(tmp_path, path=str(tmp_path / "none.jsonl")).prepare()
