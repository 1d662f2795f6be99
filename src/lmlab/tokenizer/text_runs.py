"""Text as strings for code in Python: each run is tokenized on its own."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.tokenizer.adaptive_encoder import AdaptiveEncoder
from lmlab.tokenizer.text_parts import Part, TextParts, malformed_part

if TYPE_CHECKING:
    from lmlab.tokenizer.tokenizer import Tokenizer


class TextRun(NamedTuple):
    """A document, or a file of plain text that is read as it stands.

    Attributes:
        strings: its text, to be read before the next run.
        is_plain: whether special tokens are text.
        ends: whether the end of text follows.
    """

    strings: Iterator[str]
    is_plain: bool
    ends: bool


class EncodedRuns:
    """The ids of a text by code in Python, in order.

    Args:
        text: what is encoded.
        tokenizer: encodes it.
        text_hash: receives the text.
    """

    def __init__(self, text: Text, tokenizer: Tokenizer, text_hash: TextHash) -> None:
        self._tokenizer = tokenizer
        marker = tokenizer.end_marker
        self._runs = TextRuns(TextParts(text, marker, None, text_hash), marker or b"")

    @property
    def disk_bytes(self) -> int:
        """Bytes of the files read so far."""
        return self._runs.disk_bytes

    def __iter__(self) -> Iterator[tuple[list[int], int]]:
        """Yield ids, and how many of them, the last ones, end documents.

        Raises:
            DataError: the text cannot be read or is not UTF-8.
            ConfigError: documents need an end of text, and the tokenizer has none.
        """
        marked = self._tokenizer.encoder
        plain = AdaptiveEncoder(self._tokenizer.ids._replace(special_ids={}))
        end = self._tokenizer.end_of_text_id
        for run in self._runs:
            for chunk in (plain if run.is_plain else marked).encode_chunks(run.strings):
                yield chunk, 0
            if run.ends:
                assert end is not None
                yield [end], 1


class TextRuns:
    """The runs of a text, in order.

    Args:
        parts: of the text, cut anywhere.
        marker: the one that they put after documents.

    Attributes:
        disk_bytes: bytes of the files read so far.
    """

    def __init__(self, parts: TextParts, marker: bytes) -> None:
        self._parts, self._marker = parts, marker
        self._buffer = parts.buffer()
        self._next: Part | None = None
        self.disk_bytes = 0

    def __iter__(self) -> Iterator[TextRun]:
        """Yield the runs. Raises :class:`DataError` where the text is not UTF-8."""
        self._advance()
        while (part := self._next) is not None:
            if part.documents is None:
                # A document of its own ends where its file does.
                yield TextRun(self._strings(part), part.is_plain, part.is_plain)
                continue
            for text in part.documents.pieces(self._marker):
                string = self._decoded(part, bytes(text))
                yield TextRun(iter([string]), not part.documents.is_marked, True)
            self._advance()

    def _advance(self) -> None:
        self._next, self._buffer = self._parts.read(self._buffer)
        self.disk_bytes += 0 if self._next is None else self._next.disk_bytes

    def _strings(self, first: Part) -> Iterator[str]:
        """The text of a plain file, from the part that has been read."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        part: Part | None = first
        while part is not None and part.file == first.file:
            data = bytes(self._buffer.view[: part.size])
            is_last = part.next_file != part.file
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(data, final=is_last)
            except UnicodeDecodeError as error:
                raise malformed_part(self._parts.text, part, error.start - pending) from error
            if text:
                yield text
            self._advance()
            if is_last:
                return
            part = self._next

    def _decoded(self, part: Part, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise malformed_part(self._parts.text, part, error.start) from error
