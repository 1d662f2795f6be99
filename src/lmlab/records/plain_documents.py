"""Documents of plain text: between markers, between blank lines, or one per line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lmlab.records.byte_stream import ByteStream
from lmlab.records.documents import BLOCK_BYTES, Documents, Rows, joined

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
    rest, rows, searched = b"", 0, 0
    for piece in stream.pieces(block):
        text = rest + piece
        limit = max(searched, len(text) - longest_end)
        last = max(end.finditer(text, searched, limit), key=re.Match.start, default=None)
        if last is None or _goes_on(end, last):
            start = len(text) - 2 * longest_end
            rest, searched = text, max(0, start if last is None else min(start, last.start()))
            continue
        found = [clean(one) for one in end.split(text[: last.start()])]
        rest, searched = text[last.end() :], 0
        rows += len(found)
        yield _rows(found, marker, rows, stream.position(), is_marked)
    found = [clean(one) for one in end.split(rest)]
    yield _rows(found, marker, rows + len(found), stream.position(), is_marked)


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
