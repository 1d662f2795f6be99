"""Fields of JSON records, checked where they are read.

A file may be damaged, of another version, or from elsewhere. Whoever reads one names the fields
that it uses and what each may be; the rest of the program then relies on their types.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lmlab.errors import DataError
from lmlab.storage.io import read_json, translate_read_errors

log = logging.getLogger(__name__)

_LARGEST = 2**63


class Kind(NamedTuple):
    """What a field may be.

    Attributes:
        accepts: whether a value is valid.
        expected: what is, as the rest of "expected ...".
    """

    accepts: Callable[[Any], bool]
    expected: str


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < _LARGEST


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _are(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


NUMBER = Kind(_is_number, "a number")
COUNT = Kind(_is_count, "an integer of 0 or more")
INTEGER = Kind(lambda value: type(value) is int and abs(value) < _LARGEST, "an integer")
AMOUNT = Kind(lambda v: _is_number(v) and math.isfinite(v) and v >= 0, "a number of 0 or more")
FLAG = Kind(lambda value: isinstance(value, bool), "true or false")
TEXT = Kind(lambda value: isinstance(value, str), "a text")
TEXTS = Kind(_are(str), "a list of texts")
LISTS_OF_TEXTS = Kind(
    lambda value: isinstance(value, list) and all(TEXTS.accepts(one) for one in value),
    "a list of lists of texts",
)
OBJECT = Kind(lambda value: isinstance(value, dict), "an object")
OBJECTS = Kind(_are(dict), "a list of objects")

# Dotted names of fields, such as "floor.bits_per_byte" or "sessions[].versions", and their kinds.
Fields = Mapping[str, Kind]
NO_FIELDS: Fields = {}


def or_null(kind: Kind) -> Kind:
    """Return the kind of a field that may be null."""
    return Kind(lambda value: value is None or kind.accepts(value), f"{kind.expected} or null")


def wrong_field(content: Any, fields: Fields, required: tuple[str, ...] = ()) -> str | None:
    """Say which field of a record is not what it should be; None if none is.

    Fields that are missing are valid unless they are required, and further ones are not checked.
    """
    if not isinstance(content, dict):
        return f"{_shown(content)}: expected an object"
    for name in required:
        if name not in content:
            return f"{name}: missing"
    for name, kind in fields.items():
        for shown, value in _values(content, name):
            if not kind.accepts(value):
                return f"{shown}={_shown(value)}: expected {kind.expected}"
    return None


def check_fields(
    path: Path | str, content: Any, fields: Fields, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a record whose fields are valid.

    Raises:
        DataError: one is not; names the file and the field.
    """
    wrong = wrong_field(content, fields, required)
    if wrong is not None:
        raise DataError(f"{path}: {wrong}", "restore the file, or write it again")
    assert isinstance(content, dict)
    return content


def valid_fields(path: Path, content: Any, fields: Fields) -> dict[str, Any]:
    """Return a record without the fields that are not valid, which count as missing.

    A warning names each once. A null counts as missing without one, as does a file that holds no
    object.
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
    return kept


def read_fields(path: Path, fields: Fields = NO_FIELDS) -> dict[str, Any]:
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
    return valid_fields(path, content, fields)


@functools.lru_cache(maxsize=1024)
def warn_once(message: str) -> None:
    """Log a warning about a file once per process, however often the file is read."""
    log.warning("%s", message)


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
