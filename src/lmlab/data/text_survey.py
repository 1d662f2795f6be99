"""One pass over a text before it is used: its hash, its documents, and whether it is UTF-8."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lmlab.console.progress_bar import progress
from lmlab.errors import DataError
from lmlab.records.document_hash import DocumentHash, document_hash
from lmlab.records.plain_documents import END_OF_TEXT
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.storage.file_memo import remembered
from lmlab.storage.io import hash_json
from lmlab.tokenizer.text_parts import Part, TextParts, malformed_part

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Survey:
    """What a pass over a text found.

    Attributes:
        text_hash: see :class:`lmlab.records.text_hash.TextHash`.
        num_documents: number of documents, without empty ones.
        num_empty: documents of records without text, which are left out.
        num_null: records without a document.
        num_bytes: UTF-8 bytes of the text, markers in plain text included.
        num_markers: ends of texts that stand in plain text.
        num_known: documents of another text, each counted once, that are in this one too.
    """

    text_hash: str
    num_documents: int
    num_empty: int
    num_null: int
    num_bytes: int
    num_markers: int
    num_known: int = 0


def survey(
    text: Text, *, collect: set[bytes] | None = None, known: set[bytes] | None = None
) -> Survey:
    """Read a text once.

    Args:
        text: what is read.
        collect: receives the hash of each document.
        known: hashes of documents of another text, for ``num_known``.

    Raises:
        DataError: the text cannot be read or is not UTF-8.
    """
    counted = _Documents(collect, set() if known is None else set(known))
    text_hash = TextHash()
    parts = TextParts(text, END_OF_TEXT, None, text_hash)
    buffer = parts.buffer()
    decoder = codecs.getincrementaldecoder("utf-8")()
    with (
        contextlib.closing(parts),
        progress(total=text.size(), desc="checking text", unit="B", unit_scale=True) as bar,
    ):
        while True:
            part, buffer = parts.read(buffer)
            if part is None:
                break
            data = bytes(buffer.view[: part.size])
            _check_utf8(text, part, data, decoder)
            counted.add(part, data)
            bar.update(part.disk_bytes)
    return counted.survey(text_hash.combined)


def _check_utf8(text: Text, part: Part, data: bytes, decoder: codecs.IncrementalDecoder) -> None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(data, final=part.next_file != part.file or part.documents is not None)
    except UnicodeDecodeError as error:
        raise malformed_part(text, part, error.start - pending) from error


class _Documents:
    """Counts documents, and compares them with those of another text."""

    def __init__(self, collect: set[bytes] | None, known: set[bytes]) -> None:
        self._collect, self._known, self._num_known = collect, known, len(known)
        self._is_compared = collect is not None or bool(known)
        self.num_documents = self.num_empty = self.num_null = 0
        self.num_bytes = self.num_markers = 0
        self._open, self._open_bytes = DocumentHash(), 0  # of a document of plain text
        self._tail = b""

    def add(self, part: Part, data: bytes) -> None:
        """Add a part of the text."""
        found = part.documents
        self.num_bytes += part.size
        if found is not None:
            self.num_documents += found.num_documents
            self.num_empty += found.num_empty
            self.num_null += found.num_null
            self.num_bytes -= found.num_documents * len(END_OF_TEXT)
            if self._is_compared:
                for text in found.pieces(END_OF_TEXT):
                    self._compare(document_hash(text))
            return
        if part.is_plain:
            self._extend(data)
            if part.ends_document:
                self._end_document()
            return
        *ended, rest = (self._tail + data).split(END_OF_TEXT)
        self.num_markers += len(ended)
        for one in ended:
            self._extend(one)
            self._end_document()
        has_ended = part.next_file != part.file
        kept = 0 if has_ended else min(len(rest), len(END_OF_TEXT) - 1)
        self._extend(rest[: len(rest) - kept])
        self._tail = rest[len(rest) - kept :]
        if has_ended:
            self._end_document()

    def _extend(self, text: bytes) -> None:
        self._open_bytes += len(text)
        if self._is_compared:
            self._open.update(text)

    def _end_document(self) -> None:
        if self._open_bytes:
            self.num_documents += 1
            if not self._open.is_empty:
                self._compare(self._open.digest())
        self._open, self._open_bytes = DocumentHash(), 0

    def _compare(self, found: bytes) -> None:
        self._known.discard(found)
        if self._collect is not None:
            self._collect.add(found)

    def survey(self, text_hash: str) -> Survey:
        """What has been found."""
        return Survey(
            text_hash, self.num_documents, self.num_empty, self.num_null, self.num_bytes,
            self.num_markers, self._num_known - len(self._known),
        )  # fmt: skip


def remembered_survey(
    text: Text, cache_dir: Path, make: Callable[[], Survey], *, against: str = ""
) -> Survey:
    """Return the survey of a text, made once for each state of its files.

    It is kept in a small file of the cache with the size, times and inode of each file, so that a
    large text is not read again at each start.

    Args:
        text: what is read.
        cache_dir: the cache folder.
        make: makes the survey.
        against: what else it depends on.
    """
    files, rules = described(text)
    memo = cache_dir / "texts" / f"{hash_json([_VERSION, files, [*rules, against]])[:24]}.json"
    return Survey(**remembered(memo, text.paths, lambda: dataclasses.asdict(make())))


def described(text: Text) -> tuple[list[Any], list[Any]]:
    """Return what a text is, apart from the content of its files: the files, and the rules."""
    files = [[str(file.path.resolve()), *file.kind, file.start, file.stop] for file in text.files]
    return files, [text.column, text.documents, text.held_out]


def has_marker(text: Text) -> bool:
    """Whether a marker stands in plain text; reads no further than the first."""
    tail = b""
    for file in text.files:
        stream = text.stream(file)
        with contextlib.closing(stream):
            for piece in stream.pieces():
                if END_OF_TEXT in tail + piece:
                    return True
                tail = piece[-len(END_OF_TEXT) :]
    return False


def check_not_equal(train: Survey, valid: Survey) -> None:
    """Raise :class:`DataError` if both splits are the same text."""
    if train.text_hash == valid.text_hash:
        raise DataError(
            "data.valid: expected held-out text, but it has the content of data.train",
            "choose another text, or leave data.valid out to hold out a part of data.train",
        )


def left_out(text: Text, found: Survey) -> Iterator[str]:
    """Say which rows of records are left out."""
    skipped = {"empty": found.num_empty, "null": found.num_null}
    if counted := [f"{number:,} {name}" for name, number in skipped.items() if number]:
        yield f"{text.key}: {' and '.join(counted)} documents are left out"


def without_boundaries(text: Text, found: Survey) -> Iterator[str]:
    """Say that nothing separates the documents of plain text."""
    if not text.has_documents() and not found.num_markers and len(text.files) == 1:
        yield (
            f"{text.key}: no {END_OF_TEXT.decode()} stands between documents, so that it is read "
            "as one document; to set other boundaries: data.documents=blank_line, line or file"
        )
