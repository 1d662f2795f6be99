"""Hashes by which documents are compared, and by which each belongs to a side of a split."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

_HASH_BYTES = 8


class DocumentHash:
    """The hash of a document that is read in parts, without white space at its ends.

    White space is that of ASCII, as for :meth:`bytes.strip`.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=_HASH_BYTES)
        self._space = b""  # perhaps at the end
        self.is_empty = True

    def update(self, text: bytes) -> None:
        """Add the next part."""
        if self.is_empty:
            text = text.lstrip()
        body = text.rstrip()
        if body:
            self._hash.update(self._space)
            self._hash.update(body)
            self._space, self.is_empty = text[len(body) :], False
        else:
            self._space += text

    def digest(self) -> bytes:
        """The hash, 8 bytes."""
        return self._hash.digest()


def document_hash(text: memoryview | bytes) -> bytes:
    """Return the :class:`DocumentHash` of a whole document, 8 bytes."""
    return hashlib.blake2b(bytes(text).strip(), digest_size=_HASH_BYTES).digest()


class HeldOut(NamedTuple):
    """Which documents belong to one side of a split by the hash of each document.

    Attributes:
        fraction: of the documents, about that many are held out.
        is_held_out: whether this side holds them.
    """

    fraction: float
    is_held_out: bool

    def has(self, found: bytes) -> bool:
        """Whether the document with a hash belongs to this side; duplicates belong to the same."""
        is_low = int.from_bytes(found, "little") < self.fraction * 256 ** len(found)
        return is_low == self.is_held_out
