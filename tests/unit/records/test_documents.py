"""Documents in a row, and columns by their names."""

from __future__ import annotations

import pytest

from lmlab.records.documents import (
    columns_of,
    count_rare,
    joined,
    merged,
    nested_value,
    no_such_column,
)

RECORD = {"text": "t", "a.b": "dotted", "a": {"b": "inner", "c": {"d": None}}, "n": 1}


def test_pieces_are_the_documents() -> None:
    found = joined([b"one", "zwölf".encode(), b"3"], b"|E|", 7, num_empty=2, num_null=1)
    assert bytes(found.text) == "one|E|zwölf|E|3|E|".encode()
    assert [bytes(one) for one in found.pieces(b"|E|")] == [b"one", "zwölf".encode(), b"3"]
    assert (found.num_documents, found.rows, found.num_empty, found.num_null) == (3, 7, 2, 1)


def test_merged_blocks_are_their_documents_in_a_row() -> None:
    blocks = [joined([b"a", b"bc"], b"|", 3, 1), joined([], b"|", 4, 0, 1), joined([b"d"], b"|", 5)]
    text = memoryview(b"".join(bytes(block.text) for block in blocks))
    found = merged(blocks, text)
    assert [bytes(one) for one in found.pieces(b"|")] == [b"a", b"bc", b"d"]
    assert (found.num_documents, found.rows, found.num_empty, found.num_null) == (3, 5, 1, 1)


def test_a_name_with_a_dot_comes_before_what_is_nested() -> None:
    assert nested_value(RECORD, "a.b") == "dotted"
    assert nested_value({"a": RECORD["a"]}, "a.b") == "inner"
    assert nested_value(RECORD, "a.c.d") is None
    assert nested_value({"a": None}, "a.b") is None
    for column in ("x", "n.x", "a.c.x"):
        with pytest.raises(KeyError):
            nested_value(RECORD, column)


def test_the_nearest_column_is_named() -> None:
    assert columns_of(RECORD) == ["text", "a.b", "a", "a.b", "a.c", "a.c.d", "n"]
    error = no_such_column("data.train=x", "texts", ["text", "n"])
    assert str(error) == (
        'data.train=x: no column texts; it has text, n\nhelp: did you mean "text"?'
    )


def test_a_rare_byte_is_counted_wherever_it_stands() -> None:
    for data in (b"", b"|", b"||" * 40_000, (b"x" * 300 + b"|") * 99, b"y" * 70_000 + b"|" * 999):
        assert count_rare(data, b"|") == count_rare(bytearray(data), b"|") == data.count(b"|")
