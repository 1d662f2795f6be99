"""Holding out a part of a text where no validation text is given."""

from __future__ import annotations

import contextlib
import dataclasses

from lmlab.console.formatting import format_count
from lmlab.data.text_survey import Survey, has_marker
from lmlab.errors import DataError
from lmlab.records.document_hash import DocumentHash, HeldOut
from lmlab.records.text import MARKER, Text, TextFile

_KEY = "data.valid_fraction"


def split(text: Text, fraction: float) -> tuple[Text, Text, str]:
    """Split a text into training text and held-out text.

    Each document belongs to a side by its hash: duplicates are on one side, and in a corpus that
    grows no document moves. Plain text without any boundary is one document, whose last part is
    held out.

    Args:
        text: all of it.
        fraction: about how much is held out, between 0 and 1.

    Returns:
        Both texts, and how they were split, in words.

    Raises:
        DataError: the text is too short.
    """
    if not text.has_documents() and not has_marker(text):
        return _split_tail(text, fraction)
    sides = (HeldOut(fraction, is_held_out=False), HeldOut(fraction, is_held_out=True))
    hashes = {file: _hash(text, file) for file in text.files if text.is_one_document(file)}
    train, valid = (
        dataclasses.replace(
            text,
            files=tuple(f for f in text.files if f not in hashes or side.has(hashes[f])),
            held_out=side,
        )
        for side in sides
    )
    return train, valid, "by the hash of each document"


def check_held_out(train: Survey, valid: Survey, fraction: float) -> None:
    """Raise :class:`DataError` unless both sides have a document."""
    total = train.num_documents + valid.num_documents
    if not total:
        raise DataError("data.train: the text is empty", "provide some text")
    if not train.num_documents or not valid.num_documents:
        which = "none" if not valid.num_documents else "all"
        raise DataError(
            f"{_KEY}={fraction}: holds out {which} of {total:,} documents",
            f"raise it, for example to {min(0.5, 20 / total):.2g}, or set data.valid",
        )


def held_out_line(key: str, train: Survey, valid: Survey, how: str) -> str:
    """Say how a text was split."""
    total = train.num_bytes + valid.num_bytes
    return (
        f"{key}: {format_count(valid.num_documents, 'document')} with {valid.num_bytes:,} of "
        f"{total:,} bytes ({valid.num_bytes / max(1, total):.2%}) held out for validation, {how}"
    )


def _hash(text: Text, file: TextFile) -> bytes:
    found = DocumentHash()
    for piece in text.stream(file).pieces():
        found.update(piece)
    return found.digest()


def _split_tail(text: Text, fraction: float) -> tuple[Text, Text, str]:
    """Hold out the last part, from the beginning of a line where there is one."""
    assert text.documents == MARKER
    sizes = [_size(text, file) for file in text.files]
    left = int(sum(sizes) * fraction)
    kept: list[TextFile] = []
    held_out: list[TextFile] = []
    for file, size in zip(reversed(text.files), reversed(sizes), strict=True):
        if left <= 0:
            kept.insert(0, file)
        elif size <= left:
            held_out.insert(0, file)
        else:
            cut = _line_start(text, file, size - left)
            kept.insert(0, file._replace(stop=cut))
            held_out.insert(0, file._replace(start=cut))
        left -= size
    if not kept or not held_out:
        raise DataError(
            f"{_KEY}={fraction}: the text is too short to hold out a part of it",
            "give more text, another fraction, or set data.valid",
        )
    sides = [dataclasses.replace(text, files=tuple(files)) for files in (kept, held_out)]
    return sides[0], sides[1], f"the last {fraction:.2g} of a text without boundaries"


def _size(text: Text, file: TextFile) -> int:
    if not file.kind.compression:
        return file.path.stat().st_size
    return sum(map(len, text.stream(file).pieces()))


def _line_start(text: Text, file: TextFile, offset: int) -> int:
    """The beginning of the line after ``offset``, or else of the character."""
    stream = text.stream(file._replace(start=offset))
    with contextlib.closing(stream):
        piece = next(stream.pieces(), b"")
    line = piece.find(b"\n") + 1
    if 0 < line < len(piece):
        return offset + line
    skipped = next((n for n, byte in enumerate(piece[:4]) if byte & 0xC0 != 0x80), 0)
    return offset + skipped
