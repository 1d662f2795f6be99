"""Declarations of options: types, ranges, defaults."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmlab.console.options import Option, argument, at_least, one_of, option, options_of
from lmlab.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Declared:
    files: tuple[Path, ...] = argument(help="inputs")
    size: int | None = option(None, valid=at_least(2, 8), help="size")
    rate: float = option(0.5, help="rate")
    kind: str = option("a", valid=one_of("a", "b"), help="kind")
    force: bool = option(False, help="force")
    tags: tuple[str, ...] = option(("x", "y"), nargs="*", help="tags")


OPTIONS: dict[str, Option] = {one.key: one for one in options_of(Declared)}


def test_types_are_read_from_the_annotations() -> None:
    assert [(one.kind, one.is_optional, one.is_tuple) for one in OPTIONS.values()] == [
        (Path, False, True), (int, True, False), (float, False, False), (str, False, False),
        (bool, False, False), (str, False, True),
    ]  # fmt: skip
    assert [key for key, one in OPTIONS.items() if one.is_required] == ["files"]
    assert [key for key, one in OPTIONS.items() if one.is_positional] == ["files"]
    assert [key for key, one in OPTIONS.items() if one.is_flag] == ["force"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("files", "a=b", Path("a=b")),
        ("size", "8", 8),
        ("size", "null", None),
        ("size", "none", None),
        ("size", "", None),
        ("rate", "1e-2", 0.01),
        ("kind", "b", "b"),
        ("tags", "null", "null"),
    ],
)
def test_values_are_converted(key: str, text: str, value: object) -> None:
    assert OPTIONS[key].convert(text) == value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("size", "1", "size=1: expected an integer from 2 to 8, or null"),
        ("size", "9", "size=9: expected an integer from 2 to 8, or null"),
        ("size", "2.0", "size=2.0: expected an integer from 2 to 8, or null"),
        ("rate", "fast", "rate=fast: expected a number"),
        ("rate", "null", "rate=null: expected a number"),
        ("kind", "c", "kind=c: expected one of a, b"),
    ],
)
def test_a_wrong_value_is_reported_with_the_valid_ones(key: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OPTIONS[key].convert(text)
    assert caught.value.message == message


def test_help_states_range_and_default() -> None:
    texts = {key: one.help_text() for key, one in OPTIONS.items()}
    assert texts == {
        "files": "inputs (required)",
        "size": "size (an integer from 2 to 8, or null; default: null)",
        "rate": "rate (a number; default: 0.5)",
        "kind": "kind (one of a, b; default: a)",
        "force": "force",
        "tags": "tags (default: x y)",
    }


def test_an_open_range_has_no_upper_bound() -> None:
    valid = at_least(0)
    assert valid.check(0) and valid.check(10**9) and not valid.check(-1)
    assert valid.expected == "an integer of 0 or more"
