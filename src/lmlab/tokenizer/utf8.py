"""Reading UTF-8 files, and UTF-8 bytes of strings."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lmlab.errors import DataError
from lmlab.storage.content_hash import FilesHash
from lmlab.storage.io import translate_read_errors

_CHUNK_BYTES = 1 << 20
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def to_utf8(text: str) -> bytes:
    """The UTF-8 bytes of a string. Raises :class:`DataError` for lone surrogates."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"text: lone surrogate {error.object[error.start]!r} at index {error.start}, which "
            "UTF-8 cannot encode",
            "replace or remove it",
        ) from error


def size_of_texts(paths: Iterable[Path]) -> int:
    """Return the bytes of text files. Raises :class:`DataError` if one cannot be read."""
    size = 0
    for path in paths:
        with translate_read_errors(path):
            size += path.stat().st_size
    return size


def read_utf8(
    path: Path,
    advance: Callable[[int], object] | None = None,
    text_hash: FilesHash | None = None,
) -> Iterator[str]:
    """Yield the text of a file in strings of about 1 MiB.

    Args:
        path: the file.
        advance: called with the number of bytes read since the last call.
        text_hash: receives the bytes that are read.

    Raises:
        DataError: the file cannot be read or is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with translate_read_errors(path), open(path, "rb") as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise not_utf8(path, offset - pending + error.start) from error
            if text_hash is not None:
                text_hash.update(chunk)
            if advance is not None:
                advance(len(chunk))
            if text:
                yield text
            if not chunk:
                if text_hash is not None:
                    text_hash.end_file()
                return
            offset += len(chunk)


def not_utf8(named: Path | str, offset: int, path: Path | None = None) -> DataError:
    """The error for a text whose byte at ``offset`` belongs to no character.

    Args:
        named: the file, or the beginning of the message.
        offset: in the text, after decompression.
        path: the file; None for ``named``.
    """
    path = Path(named) if path is None else path
    encoding = _guess_encoding(path)
    written = f", found {encoding.upper()}" if encoding != "latin1" else ""
    return DataError(
        f"{named}: expected UTF-8 text{written}, malformed at byte offset {offset}",
        f"convert it, for example: iconv -f {encoding} -t utf-8 {path} > {path.stem}.utf8.txt",
    )


def _guess_encoding(path: Path) -> str:
    """Guess what a file that is not UTF-8 is: by its byte order mark, then by its zero bytes."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return "latin1"
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    # Most characters of Western text in UTF-16 have a zero byte, always at the same place.
    for start, encoding in ((1, "utf-16le"), (0, "utf-16be")):
        half = head[start::2]
        if half and half.count(0) > len(half) / 2 > 2 * head[1 - start :: 2].count(0):
            return encoding
    return "latin1"
