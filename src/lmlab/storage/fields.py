"""Fields of JSON records, checked where they are read.

A file may be damaged, of another version, or from elsewhere. Whoever reads one names the fields
that it uses and what each may be; the rest of the program then relies on their types.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lmlab.errors import DataError, shorten
from lmlab.storage.io import read_json, translate_read_errors

log = logging.getLogger(__name__)

_LARGEST = 2**63
_WRITE_AGAIN = "restore the file, or write it again"


class Kind(NamedTuple):
    """What a field may be.

    Attributes:
        accepts: returns whether a value is valid.
        expected: the valid values, in words that follow "expected".
    """

    accepts: Callable[[Any], bool]
    expected: str


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < _LARGEST


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_path(value: Any) -> bool:
    """Whether system calls take it as a path; on others they raise errors that nobody expects."""
    if not isinstance(value, str) or "\0" in value:
        return False
    encoded = value.encode("utf-8", "replace")
    return len(encoded) < 4096 and all(len(part) < 256 for part in encoded.split(b"/"))


def _is_file_name(value: Any) -> bool:
    return _is_path(value) and value not in ("", ".", "..") and "/" not in value


def _list_of(kind: Kind, named: str) -> Kind:
    return Kind(
        lambda value: isinstance(value, list) and all(map(kind.accepts, value)),
        f"a list of {named}",
    )


def _by_name(kind: Kind, named: str) -> Kind:
    return Kind(
        lambda value: isinstance(value, dict) and all(map(kind.accepts, value.values())),
        f"an object of {named}",
    )


NUMBER = Kind(_is_number, "a number")
COUNT = Kind(_is_count, "an integer of 0 or more")
FINITE = Kind(lambda v: _is_number(v) and math.isfinite(v), "a finite number")
AMOUNT = Kind(lambda v: _is_number(v) and math.isfinite(v) and v >= 0, "a number of 0 or more")
NUMBERS_BY_NAME = _by_name(NUMBER, "numbers")
COUNTS = _list_of(COUNT, "integers of 0 or more")
COUNTS_BY_NAME = _by_name(COUNT, "integers of 0 or more")
FLAG = Kind(lambda value: isinstance(value, bool), "true or false")
TEXT = Kind(lambda value: isinstance(value, str), "a text")
TEXTS = _list_of(TEXT, "texts")
TEXTS_BY_NAME = _by_name(TEXT, "texts")
LISTS_OF_TEXTS = _list_of(TEXTS, "lists of texts")
PATH = Kind(_is_path, "a path")
FILE_NAME = Kind(_is_file_name, "the name of a file, without a folder")
FILE_NAMES = _list_of(FILE_NAME, "names of files, without folders")
OBJECT = Kind(lambda value: isinstance(value, dict), "an object")
OBJECTS = _list_of(OBJECT, "objects")

# Dotted names of fields, such as "floor.bits_per_byte" or "sessions[].versions", and their kinds.
Fields = Mapping[str, Kind]
NO_FIELDS: Fields = {}


def or_null(kind: Kind) -> Kind:
    """Return the kind of a field that may be null."""
    return Kind(lambda value: value is None or kind.accepts(value), f"{kind.expected} or null")


def wrong_field(content: Any, fields: Fields, required: tuple[str, ...] = ()) -> str | None:
    """Describe the first field of a record that is not valid; None if all are valid.

    Args:
        content: the record.
        fields: those to check. One that is missing is valid; further ones are not checked.
        required: fields that may not be missing.
    """
    if not isinstance(content, dict):
        return f"{_shown(content)}: expected an object"
    for name in required:
        if next(_values(content, name), None) is None:
            return f"{name}: missing"
    for name, kind in fields.items():
        for shown, value in _values(content, name):
            if not kind.accepts(value):
                return f"{shown}={_shown(value)}: expected {kind.expected}"
    return None


def rows_with_fields(
    path: Path, rows: Iterable[dict[str, Any]], fields: Fields, required: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the rows whose fields are valid; a warning says why another counts as missing."""
    kept = []
    for row in rows:
        wrong = wrong_field(row, fields, required)
        if wrong is None:
            kept.append(row)
        else:
            warn_once(f"{path}: {wrong}; the row counts as missing")
    return kept


def check_fields(
    path: Path | str, content: Any, fields: Fields, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a record whose fields are valid.

    Raises:
        DataError: one is not; names the file and the field.
    """
    wrong = wrong_field(content, fields, required)
    if wrong is not None:
        raise DataError(f"{path}: {wrong}", _WRITE_AGAIN)
    assert isinstance(content, dict)
    return content


def read_valid(
    path: Path, fields: Fields = NO_FIELDS, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Read a JSON object whose fields are valid.

    Raises:
        DataError: the file is missing or damaged, or a field is not valid; names both.
    """
    try:
        with translate_read_errors(path):
            content = read_json(path)
    except ValueError as error:
        raise DataError(f"{path}: cannot be read: {error}", _WRITE_AGAIN) from error
    return check_fields(path, content, fields, required)


def valid_fields(
    path: Path, content: Any, fields: Fields, expected: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a record without the fields that are not valid, which count as missing.

    A warning names each once, and those of ``expected`` that are missing. A null counts as missing.
    Do not write the result back to the file, which would lose what was left out.
    """
    if not isinstance(content, dict):
        warn_once(f"{path}: {_shown(content)}: expected an object; it counts as missing")
        return {}
    kept = dict(content)
    for name, kind in fields.items():
        top = name.partition(".")[0].removesuffix("[]")
        if kept.get(top) is None:
            kept.pop(top, None)
            continue
        for shown, value in _values(kept, name):
            if not kind.accepts(value):
                warn_once(
                    f"{path}: {shown}={_shown(value)}: expected {kind.expected}; {top} counts as "
                    "missing"
                )
                del kept[top]
                break
    missing = [name for name in expected if name not in kept and content.get(name) is None]
    if missing:
        warn_once(f"{path}: {', '.join(missing)}: missing")
    return kept


def read_fields(
    path: Path, fields: Fields = NO_FIELDS, expected: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Read the valid fields of a JSON object; empty if the file is missing or damaged.

    A warning says what counts as missing; see :func:`valid_fields`.

    Raises:
        DataError: the file cannot be read, for example without permission.
    """
    with translate_read_errors(path):
        try:
            content = read_json(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return {}
        except ValueError as error:
            warn_once(f"{path}: cannot be read ({error}); it counts as missing")
            return {}
    return valid_fields(path, content, fields, expected)


@functools.lru_cache(maxsize=1024)
def warn_once(message: str) -> None:
    """Log a warning about a file once per process, however often the file is read."""
    log.warning("%s", shorten(message))


def _values(content: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Yield the values of a dotted field that are there, with their names."""
    first, _, rest = name.partition(".")
    key, is_list = first.removesuffix("[]"), first.endswith("[]")
    if key not in content:
        return
    value = content[key]
    if not is_list and not rest:
        yield key, value
        return
    inner = value if is_list and isinstance(value, list) else [value]
    for index, one in enumerate(inner):
        shown = f"{key}[{index}]" if is_list else key
        if not rest:
            yield shown, one
        elif isinstance(one, dict):
            yield from ((f"{shown}.{below}", found) for below, found in _values(one, rest))
        elif one is not None:
            yield shown, _NotAnObject(one)


class _NotAnObject:
    """A value in whose place a record has an object; no kind accepts it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def _shown(value: Any) -> str:
    """A value in at most 60 characters, however large it is."""
    if isinstance(value, _NotAnObject):
        value = value.value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "an integer of more than 40 digits"
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
