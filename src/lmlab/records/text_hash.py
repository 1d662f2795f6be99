"""The hash of a text: of the bytes of files that are read as they stand, and of documents."""

from __future__ import annotations

from lmlab.records.documents import Documents, count_rare
from lmlab.records.plain_documents import END_OF_TEXT
from lmlab.storage.content_hash import Buffer, FilesHash
from lmlab.storage.io import hash_json

_ESCAPED = b"\xff" + END_OF_TEXT  # no UTF-8 has this byte


class TextHash(FilesHash):
    """A :class:`~lmlab.storage.content_hash.FilesHash` that also receives documents.

    Documents in a row count as one file: the plain text in which ``<|endoftext|>`` follows each of
    them. So the same documents have the same hash in every form: compressed, as JSON lines, in
    any number of shards, with any tokenizer. Where a document spells the marker itself, it is
    escaped, so that no other documents have this hash.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pending = b""  # of a document: what may be the beginning of a marker
        self._has_documents = False
        self._texts: list[str] = []  # hashes of those before the current one

    @property
    def combined(self) -> str:
        """The hash of all files that have ended; of several texts, the hash of their hashes."""
        current = super().combined
        return hash_json([*self._texts, current]) if self._texts else current

    def begin_text(self) -> None:
        """Begin another text, which does not change the hash of those before it."""
        self.end_documents()
        self._texts.append(super().combined)
        self.hashes = []

    def begin_documents(self) -> None:
        """Begin documents in a row, unless they have begun."""
        self._has_documents = True

    def add_documents(self, found: Documents, marker: bytes) -> None:
        """Add documents, each of which ``marker`` follows."""
        self.begin_documents()
        if marker == END_OF_TEXT and _has_only_ends(found):
            self.update(found.text)
            return
        for text in found.pieces(marker):
            self.update(bytes(text).replace(END_OF_TEXT, _ESCAPED))
            self.update(END_OF_TEXT)

    def add_part(self, data: Buffer) -> None:
        """Add the next part of a document that is read in parts."""
        self.begin_documents()
        text = (self._pending + bytes(data)).replace(END_OF_TEXT, _ESCAPED)
        # As many bytes wait whatever the parts, so that hashes of positions are equal.
        cut = max(0, len(text) - len(END_OF_TEXT) + 1)
        if text.endswith(END_OF_TEXT):
            cut = len(text)
        self.update(text[:cut])
        self._pending = text[cut:]

    def end_document(self) -> None:
        """End the document that has been added in parts."""
        self.update(self._pending)
        self.update(END_OF_TEXT)
        self._pending = b""

    def end_documents(self) -> None:
        """End documents in a row, where there are some: a file follows, or nothing."""
        if self._has_documents:
            self.end_file()
            self._has_documents = False


def _has_only_ends(found: Documents) -> bool:
    """Whether the marker stands nowhere but after each document."""
    if not found.has_bars:
        return True
    text = found.text if isinstance(found.text, bytes) else bytes(found.text)
    # Searching for one byte is several times as fast, and it is rare.
    bars = END_OF_TEXT.count(b"|") * found.num_documents
    return count_rare(text, b"|") == bars or text.count(END_OF_TEXT) == found.num_documents
