"""What a file holds, by its first bytes: names and suffixes do not count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from lmlab.errors import DataError

HEAD_BYTES = 1 << 16
LONGEST_FIRST_LINE = 1 << 26  # of JSON lines

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_BLOCK_OF_BZIP2, _END_OF_BZIP2 = b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"
_BYTE_ORDER_MARKS = {  # those of UTF-32 begin with those of UTF-16
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip
_TOKENS = "read it with data=tokens"
_UNPACK = "unpack it and give the files in it"
# First bytes of what is recognized and not read here, with what to do.
_UNREAD = {
    b"MMIDIDX\x00\x00": ("Megatron's index of token ids", _TOKENS),
    (20240520).to_bytes(4, "little"): ("llm.c's token ids", _TOKENS),
    (20240801).to_bytes(4, "little"): ("llm.c's token ids", _TOKENS),
    b"\x93NUMPY": ("a NumPy array", "for token ids see data=tokens; otherwise write text"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "write its text as JSON lines or Parquet"),
    b"PK\x03\x04": ("a zip archive (also .npz and PyTorch files)", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"\x04\x22\x4d\x18": ("LZ4", "decompress it: lz4 -d FILE"),
    b"SQLite format 3\x00": ("an SQLite database", "write its text as JSON lines or Parquet"),
    b"Obj\x01": ("an Avro file", "write its text as JSON lines or Parquet"),
    b"PARE": ("encrypted Parquet", "write it without encryption"),
    b"%PDF-": ("a PDF", "extract its text: pdftotext FILE"),
}  # fmt: skip
_MAGIC_OF_TAR, _PLACE_OF_TAR = b"ustar", 257


class FileKind(NamedTuple):
    """What a file holds.

    Attributes:
        compression: ``gzip``, ``bzip2``, ``xz``, ``zstd``, or an empty string.
        layout: ``plain``, ``json lines``, ``parquet`` or ``arrow``.
    """

    compression: str
    layout: str


PLAIN = FileKind("", "plain")
_RECORDS = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}


def binary_format(head: bytes) -> str | None:
    """Name the known format of a file that begins with ``head``; None for text and for others.

    Formats are left out whose first bytes token ids may have by chance.
    """
    if compression := compression_of(head):
        return compression
    names = {magic: layout.capitalize() for magic, layout in _RECORDS.items()}
    names |= {magic: name for magic, (name, _) in _UNREAD.items()}
    for magic, name in names.items():
        if head.startswith(magic):
            return name
    return "a tar archive" if head[_PLACE_OF_TAR:].startswith(_MAGIC_OF_TAR) else None


def compression_of(head: bytes) -> str:
    """Return the compression of a file that begins with ``head``; an empty string for none."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_BZIP2) and head[4:10] in (_BLOCK_OF_BZIP2, _END_OF_BZIP2):
        return "bzip2"
    if head.startswith(_XZ):
        return "xz"
    is_skippable = head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5  # RFC 8878, section 3.1.2
    return "zstd" if head.startswith(_ZSTD) or is_skippable else ""


def layout_of(head: bytes, named: str) -> str:
    """Return the layout of what begins with ``head``, after decompression.

    Args:
        head: the first bytes, :data:`HEAD_BYTES` or all there are; of JSON lines, the first line.
        named: the beginning of a message, such as ``data.train=a.txt``.

    Raises:
        DataError: it is recognized, and cannot be read as text.
    """
    for magic, layout in _RECORDS.items():
        if head.startswith(magic):
            return layout
    for magic, (name, help) in _UNREAD.items():
        if head.startswith(magic):
            raise DataError(f"{named}: expected text, found {name}", help)
    if head[_PLACE_OF_TAR:].startswith(_MAGIC_OF_TAR):
        raise DataError(f"{named}: expected text, found a tar archive", _UNPACK)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise DataError(
            f"{named}: expected text, found a Python pickle",
            "it runs code when it is loaded; write its text as JSON lines or Parquet",
        )
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            raise DataError(
                f"{named}: expected UTF-8 text, found {encoding.upper()}",
                f"convert it, for example: iconv -f {encoding} -t utf-8 FILE > FILE.utf8.txt",
            )
    layout = _layout_of_text(head.removeprefix(b"\xef\xbb\xbf").lstrip(), named)
    if layout == "plain":
        refuse_nul(head, named, 0)
    return layout


def _layout_of_text(text: bytes, named: str) -> str:
    """The layout of what is no binary file: plain, or JSON lines."""
    line, _, rest = text.partition(b"\n")
    if not line.startswith((b"{", b"[")):
        return "plain"
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return "json lines"
    is_object = line.strip() == b"{" and rest.lstrip()[:1] == b'"'
    is_array = line.strip() in (b"[", b"[{") and rest.lstrip()[:1] in (b"{", b'"')
    if is_object or is_array or (isinstance(value, list) and value and isinstance(value[0], dict)):
        raise DataError(
            f"{named}: expected text or JSON lines, found one JSON value over several lines",
            "write one object per line, for example: jq -c '.[]' FILE > FILE.jsonl",
        )
    return "plain"


def refuse_nul(data: bytes | memoryview, named: Path | str, offset: int) -> None:
    """Raise :class:`DataError` if plain text has a NUL byte, which no text contains.

    Such a file may pass for UTF-8: token ids below 128 in 16 bits, or UTF-16 without a mark.

    Args:
        data: bytes of the text.
        named: the beginning of the message.
        offset: of the data in the text.
    """
    place = bytes(data).find(b"\0")
    if place < 0:
        return
    half = bytes(data[:4096])
    zeros = [half[start::2].count(0) / max(1, len(half[start::2])) for start in (0, 1)]
    if max(zeros) > 0.5 and half[::2].count(0) != half[1::2].count(0):
        order = "le" if zeros[1] > zeros[0] else "be"
        found = f"16-bit values, token ids or UTF-16{order.upper()}"
        help = (
            "for token ids set data=tokens; "
            f"for text: iconv -f utf-16{order} -t utf-8 FILE > FILE.utf8.txt"
        )
    else:
        found, help = "a binary file", "for token ids set data=tokens; otherwise give text files"
    raise DataError(f"{named}: expected text, found a NUL byte at offset {offset + place}: {found}",
                    help)  # fmt: skip
