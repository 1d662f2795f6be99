"""From Python's strings to bytes."""

from __future__ import annotations

from lmlab.errors import DataError


def to_utf8(text: str) -> bytes:
    """UTF-8 bytes. Raises :class:`DataError` for lone surrogates."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"the text holds a lone surrogate, {error.object[error.start]!r}, which no UTF-8 "
            "file can hold: replace or remove it"
        ) from error
