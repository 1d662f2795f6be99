"""Several texts in a row, each read by its own rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from lmlab.records.documents import Rows
from lmlab.records.text import Text, TextFile


@dataclasses.dataclass(frozen=True)
class MixedText(Text):
    """Texts in a row, as one: what is counted or trained on it does not span two of them.

    Attributes:
        texts: in order. ``files`` are those of all; the rules in the fields of the base class do
            not count. A file that is in two texts is read by the rules of the first.
    """

    texts: tuple[Text, ...] = ()

    @classmethod
    def of_texts(cls, texts: Sequence[Text], key: str = "") -> Text:
        """Return texts in a row; texts without files are left out."""
        kept = tuple(text for text in texts if text.files)
        if len(kept) == 1:
            return kept[0]
        return cls(tuple(file for text in kept for file in text.files), key=key, texts=kept)

    def begins_text(self, index: int) -> bool:
        """Whether a text other than the first begins with a file."""
        ends = 0
        for text in self.texts[:-1]:
            ends += len(text.files)
            if index == ends:
                return True
        return False

    def _of(self, file: TextFile) -> Text:
        return next(text for text in self.texts if file in text.files)

    def named(self, file: TextFile) -> str:
        """The beginning of a message about a file."""
        return self._of(file).named(file)

    def is_as_it_stands(self, file: TextFile) -> bool:
        """See :meth:`lmlab.records.text.Text.is_as_it_stands`."""
        return self._of(file).is_as_it_stands(file)

    def is_one_document(self, file: TextFile) -> bool:
        """See :meth:`lmlab.records.text.Text.is_one_document`."""
        return self._of(file).is_one_document(file)

    def read_documents(self, file: TextFile, marker: bytes) -> Iterator[Rows]:
        """See :meth:`lmlab.records.text.Text.read_documents`."""
        return self._of(file).read_documents(file, marker)
