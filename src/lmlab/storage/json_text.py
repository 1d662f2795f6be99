"""JSON as RFC 8259 defines it, which has no NaN and no infinity.

A number that is not finite is written as ``null``. The object that contains it says in a sibling
key which one it was, so that reading restores it::

    {"loss": null, "grad_norm": null, "nonfinite": {"loss": "nan", "grad_norm": "inf"}}

Strict readers accept every file, and lmlab reads back what it wrote. It also reads the bare ``NaN``
and ``Infinity`` of files that earlier versions wrote.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

NONFINITE = "nonfinite"
_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def dump_json(value: Any, *, mark_nonfinite: bool = True, **layout: Any) -> str:
    """Return ``value`` as JSON text.

    Args:
        value: plain values.
        mark_nonfinite: whether objects name their numbers that are not finite; for readers other
            than lmlab, ``null`` alone can be enough.
        layout: further arguments of :func:`json.dumps`, such as ``indent``.
    """
    plain, _ = _encode(value, mark_nonfinite)
    return json.dumps(plain, allow_nan=False, **{"ensure_ascii": False} | layout)


def load_json(text: str | bytes) -> Any:
    """Parse JSON text, and restore numbers that are not finite.

    Raises:
        ValueError: the text is not JSON in UTF-8, is nested too deeply, has a key twice, or
            escapes half of a character.
    """
    return _parse(text, lambda pairs: _decode(_distinct(pairs)))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON text of another program.

    Raises:
        ValueError: see :func:`load_json`.
    """
    return _parse(text, _distinct)


def _parse(text: str | bytes, make_object: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=make_object)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if "\\u" in text if isinstance(text, str) else b"\\u" in text:
        refuse_half_characters(value)
    return value


def refuse_half_characters(value: Any) -> None:
    """Check that all texts in plain values can be written in UTF-8.

    An escape such as ``\\ud800`` can stand for half of a character, which no file name, page or
    terminal takes.

    Raises:
        ValueError: one cannot, or the values are nested too deeply.
    """
    try:
        json.dumps(value, ensure_ascii=False, skipkeys=True, default=str).encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"a text contains {half}, half of a character") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; a key that occurs twice would have one of its values by chance."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in an object")
    return found


def _encode(value: Any, mark: bool) -> tuple[Any, Any]:
    """Return the value without numbers that are not finite, and what names them; None: nothing."""
    if isinstance(value, float) and not math.isfinite(value):
        return None, "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        pairs = {key: _encode(inner, mark) for key, inner in value.items()}
        plain = {key: inner for key, (inner, _) in pairs.items()}
        names = {str(key): name for key, (_, name) in pairs.items() if name is not None}
        if mark and names and NONFINITE not in plain:
            plain[NONFINITE] = names
        return plain, None
    if isinstance(value, list | tuple):
        items = [_encode(inner, mark) for inner in value]
        names = {str(index): name for index, (_, name) in enumerate(items) if name is not None}
        return [inner for inner, _ in items], names or None
    return value, None


def _decode(content: dict[str, Any]) -> dict[str, Any]:
    names = content.get(NONFINITE)
    if not isinstance(names, dict) or not all(key in content for key in names):
        return content
    restored = {key: _restore(content[key], name) for key, name in names.items()}
    return {key: restored.get(key, inner) for key, inner in content.items() if key != NONFINITE}


def _restore(value: Any, name: Any) -> Any:
    if isinstance(name, str):
        return _NUMBERS.get(name) if value is None else value
    if isinstance(value, list) and isinstance(name, dict):
        return [
            _restore(inner, name[str(index)]) if str(index) in name else inner
            for index, inner in enumerate(value)
        ]
    return value
