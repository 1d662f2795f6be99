"""Encoding the parts of a text by kernels, one thread at a time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from lmlab.records.documents import Documents
from lmlab.tokenizer.buffers import Memory
from lmlab.tokenizer.kernel_encoder import Encoded, Tables, Worker
from lmlab.tokenizer.text_parts import Part, TextParts, malformed_part


class EncodedPart(NamedTuple):
    """The ids of a part.

    Attributes:
        data: the bytes of the ids, little-endian; the next part may overwrite them.
        num_ids: number of ids.
        num_text_bytes: bytes of the text, without ends of texts and special tokens.
    """

    data: memoryview | bytes
    num_ids: int
    num_text_bytes: int


class PartEncoder:
    """The buffers of one thread.

    Args:
        tables: the tokenizer's.
        parts: of the text that is encoded.
        end_id: the id that ends a document; None if the tokenizer has none.
    """

    def __init__(self, tables: Tables, parts: TextParts, end_id: int | None) -> None:
        self._tables, self._text, self._end_id = tables, parts.text, end_id
        self._marker_bytes = len(parts.marker or b"")
        self._is_apart = _is_apart(parts.marker or b"", tables.specials)
        self._worker = Worker(tables)
        self._plain: Worker | None = None

    def encode(self, part: Part, buffer: Memory) -> EncodedPart:
        """Encode a part. Raises :class:`DataError` with the place of malformed UTF-8."""
        found = part.documents
        if part.is_plain:
            return self._encode_plain(part, buffer)
        encoded = self._worker.encode(buffer, array("q", [0, part.size]))
        self._check(part, encoded)
        num_text_bytes = part.size - encoded.special_bytes
        if found is None or found.is_marked:
            return EncodedPart(encoded.data, encoded.num_ids, num_text_bytes)
        if (
            self._is_apart
            and num_text_bytes == part.size - found.num_documents * self._marker_bytes
        ):
            return EncodedPart(encoded.data, encoded.num_ids, num_text_bytes)
        return self._encode_spelled(part, found, buffer)

    def _plain_worker(self) -> Worker:
        """For text in which special tokens are text."""
        if self._plain is None:
            self._plain = Worker(self._tables.without_specials())
        return self._plain

    def _encode_plain(self, part: Part, buffer: Memory) -> EncodedPart:
        """Encode a part of a document of any length."""
        encoded = self._plain_worker().encode(buffer, array("q", [0, part.size]))
        self._check(part, encoded)
        if not part.ends_document:
            return EncodedPart(encoded.data, encoded.num_ids, part.size)
        return EncodedPart(bytes(encoded.data) + self._end(), encoded.num_ids + 1, part.size)

    def _encode_spelled(self, part: Part, found: Documents, buffer: Memory) -> EncodedPart:
        """Encode documents of which at least one spells a special token."""
        lengths, gap = found.lengths(), self._marker_bytes
        worker, pieces, num_ids, start = self._plain_worker(), [], 0, 0
        for length in lengths:
            encoded = worker.encode(buffer, array("q", [start, start + length]))
            pieces += [bytes(encoded.data), self._end()]
            num_ids += encoded.num_ids + 1
            start += length + gap
        return EncodedPart(b"".join(pieces), num_ids, sum(lengths))

    def _end(self) -> bytes:
        assert self._end_id is not None
        return self._end_id.to_bytes(self._tables.id_bytes, "little")

    def _check(self, part: Part, encoded: Encoded) -> None:
        if encoded.malformed is not None:
            raise malformed_part(self._text, part, encoded.malformed)


def _is_apart(marker: bytes, specials: Sequence[bytes]) -> bool:
    """Whether a marker is found wherever it stands, since no special token reaches into it.

    Special tokens are matched from the left, the longest first, so another one can hide a marker
    only if it begins before the marker and reaches into it, or begins with the marker.
    """
    for token in specials:
        for start in range(len(token)):
            rest = token[start:]
            if rest.startswith(marker) and token != marker:
                return False
            if start and marker.startswith(rest):
                return False
    return True
