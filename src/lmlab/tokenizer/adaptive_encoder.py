"""The choice between encoding in Python and by kernels, which take time to load or compile."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lmlab.tokenizer.kernels import library
from lmlab.tokenizer.reference_encoder import ReferenceEncoder
from lmlab.tokenizer.vocabulary import VocabularyIds

if TYPE_CHECKING:
    from lmlab.tokenizer.encoder import Encoder, IdArray
    from lmlab.tokenizer.fast_encoder import FastEncoder
    from lmlab.tokenizer.kernel_encoder import Tables

# Characters encoded in Python before the kernels are loaded (a tenth of a second), before they are
# compiled (a second, once per machine), and of a stream, which may have to fit into little memory.
_WORTH_LOADING = 1 << 18
_WORTH_COMPILING = 1 << 21
_WORTH_IN_STREAM = 1 << 23


class AdaptiveEncoder:
    """An :class:`~lmlab.tokenizer.encoder.Encoder` that starts in Python and moves to the kernels.

    Args:
        ids: the vocabulary.
    """

    def __init__(self, ids: VocabularyIds) -> None:
        self.ids = ids
        self.loaded: FastEncoder | None = None
        self._tables: Tables | None = None
        self._characters = 0

    def __reduce__(self) -> tuple[type[AdaptiveEncoder], tuple[VocabularyIds]]:
        """Pickle and copy only the vocabulary: kernels hold addresses in this process."""
        return type(self), (self.ids,)

    @functools.cached_property
    def reference(self) -> ReferenceEncoder:
        """The encoder in Python."""
        return ReferenceEncoder(self.ids)

    def fast(self, characters: int, threshold: int = _WORTH_LOADING) -> FastEncoder | None:
        """The encoder by kernels; None where there is none or it does not pay yet.

        Args:
            characters: number of characters to encode next.
            threshold: characters, including those encoded before, from which loading pays.
        """
        if self.loaded is None:
            tables = self.tables(characters, threshold)
            if tables is not None:
                from lmlab.tokenizer.fast_encoder import FastEncoder  # imports numpy

                self.loaded = FastEncoder(tables)
        return self.loaded

    def tables(self, characters: int, threshold: int = _WORTH_LOADING) -> Tables | None:
        """The kernels' tables on the same conditions; see :meth:`fast`."""
        self._characters += characters
        if (
            self._tables is None
            and self._characters >= threshold
            and (self._characters >= _WORTH_COMPILING or library.is_cached("encoding"))
        ):
            from lmlab.tokenizer.kernel_encoder import make_tables

            self._tables = make_tables(self.ids)
        return self._tables

    def _choose(self, characters: int) -> Encoder:
        return self.fast(characters) or self.reference

    def encode(self, text: str) -> list[int]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`."""
        return self._choose(len(text)).encode(text)

    def encode_array(self, text: str) -> IdArray:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`."""
        return self._choose(len(text)).encode_array(text)

    def encode_many(self, documents: Iterable[str], threads: int) -> Iterator[IdArray]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`."""
        documents = iter(documents)
        for document in documents:
            fast = self.fast(len(document))
            if fast is not None:
                yield from fast.encode_many(itertools.chain([document], documents), threads)
                return
            yield self.reference.encode_array(document)

    def encode_chunks(self, strings: Iterable[str]) -> Iterator[list[int]]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`."""
        strings = iter(strings)
        rest: list[str] = []
        if self.loaded is None:
            yield from self.reference.encode_chunks(self._until_fast(strings), rest)
        if self.loaded is None:
            yield from self.reference.encode_chunks(["".join(rest)])
        else:
            yield from self.loaded.encode_chunks(itertools.chain(rest, strings))

    def _until_fast(self, strings: Iterable[str]) -> Iterator[str]:
        """Yield strings up to the one from which the kernels pay."""
        for string in strings:
            fast = self.fast(len(string), _WORTH_IN_STREAM)
            yield string
            if fast is not None:
                return
