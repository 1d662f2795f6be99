"""Documents of plain text: between markers, between blank lines, or one per line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import BLOCK_BYTES, Documents, Rows, joined
from lmlab.records.file_kind import refuse_nul

END_OF_TEXT = b"<|endoftext|>"
# A line end with one or more lines after it that hold nothing but white space.
_BLANK_LINES = re.compile(rb"\r?\n(?:[ \t\r\f\v]*\n)+")
_LINE_END = re.compile(rb"\r?\n")
_MARKER = re.compile(re.escape(END_OF_TEXT))
_LONGEST_END = 1 << 16  # bytes at the end of a piece in which white space may go on


def by_marker(stream: ByteStream, marker: bytes, block: int = BLOCK_BYTES) -> Iterator[Rows]:
    """Yield the text between markers ``<|endoftext|>``, byte for byte: line ends stay in it."""
    return _split(
        stream, marker, _MARKER, len(END_OF_TEXT), block, lambda text: text, is_marked=True
    )


def by_line(stream: ByteStream, marker: bytes, block: int = BLOCK_BYTES) -> Iterator[Rows]:
    """Yield each line, without its line end."""
    return _split(stream, marker, _LINE_END, 2, block, lambda text: text.removesuffix(b"\r"))


def by_blank_line(stream: ByteStream, marker: bytes, block: int = BLOCK_BYTES) -> Iterator[Rows]:
    """Yield the text between blank lines, without line ends at its beginning and end."""
    return _split(
        stream, marker, _BLANK_LINES, _LONGEST_END, block, lambda text: text.strip(b"\r\n")
    )


def _split(
    stream: ByteStream,
    marker: bytes,
    end: re.Pattern[bytes],
    longest_end: int,
    block: int,
    clean: Callable[[bytes], bytes],
    *,
    is_marked: bool = False,
) -> Iterator[Rows]:
    """Cut a stream at the matches of ``end``.

    A match within ``longest_end`` bytes of what has been read may go on, and waits for more.
    """
    before: list[bytes] = []  # the beginning of a document, in which no boundary is
    text, rows, offset = b"", 0, 0
    for piece in stream.pieces(block):
        refuse_nul(piece, stream.named, offset)
        offset += len(piece)
        text += piece
        limit = max(0, len(text) - longest_end)
        last = max(end.finditer(text, 0, limit), key=re.Match.start, default=None)
        if last is None or _goes_on(end, last):
            # What may be a part of a boundary stays; the rest is not searched again.
            start = max(0, limit - longest_end)
            start = start if last is None else min(start, last.start())
            if end.search(text, 0, start) is None:
                before.append(text[:start])
                text = text[start:]
            continue
        found = end.split(b"".join([*before, text[: last.start()]]))
        before, text = [], text[last.end() :]
        rows += len(found)
        yield _rows(list(map(clean, found)), marker, rows, stream.position(), is_marked)
    found = end.split(b"".join([*before, text]))
    rows += len(found)
    yield _rows(list(map(clean, found)), marker, rows, stream.position(), is_marked)


def _goes_on(end: re.Pattern[bytes], found: re.Match[bytes]) -> bool:
    """Whether a match is longer in the text after the limit of the search."""
    longer = end.match(found.string, found.start())
    return longer is None or longer.end() != found.end()


def _rows(found: list[bytes], marker: bytes, rows: int, disk_bytes: int, is_marked: bool) -> Rows:
    def read() -> Documents:
        texts = [text for text in found if text]
        documents = joined(texts, marker, rows, num_empty=len(found) - len(texts))
        return documents._replace(is_marked=is_marked)

    return Rows(rows, sum(map(len, found)), disk_bytes, read)
