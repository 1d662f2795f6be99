"""Encoding in pure Python, for any pattern: the reference for the kernels."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lmlab.tokenizer.pretoken_merging import merge_pretoken
from lmlab.tokenizer.utf8 import to_utf8
from lmlab.tokenizer.vocabulary import VocabularyIds

if TYPE_CHECKING:
    from lmlab.tokenizer.encoder import IdArray
    from lmlab.tokenizer.pretokenize import PreTokenizer

_MAX_CACHED_PRETOKENS = 1 << 18
_LONGEST_CACHED = 64


class ReferenceEncoder:
    """An :class:`~lmlab.tokenizer.encoder.Encoder` in Python.

    Args:
        ids: the vocabulary.
    """

    def __init__(self, ids: VocabularyIds) -> None:
        self.ids = ids
        self._cache: dict[str, list[int]] = {}

    @functools.cached_property
    def _pretokenizer(self) -> PreTokenizer:
        from lmlab.tokenizer.pretokenize import PreTokenizer  # imports regex

        return PreTokenizer(self.ids.pattern, list(self.ids.special_ids))

    @functools.cached_property
    def _merges(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Rank and resulting id of each pair of ids."""
        lefts, rights, results = (self.ids.merge_ids[part::3] for part in range(3))
        return dict(zip(zip(lefts, rights, strict=True), enumerate(results), strict=True))

    def encode(self, text: str) -> list[int]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`."""
        ids: list[int] = []
        for chunk in self._encode_pieces(self._pretokenizer.split(text)):
            ids += chunk
        return ids

    def encode_array(self, text: str) -> IdArray:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`."""
        import numpy as np  # not needed to encode a line

        return np.array(self.encode(text), dtype=f"<u{self.ids.id_bytes}")

    def encode_chunks(
        self, strings: Iterable[str], rest: list[str] | None = None
    ) -> Iterator[list[int]]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`.

        Args:
            strings: the text.
            rest: where given, more text follows: text at the end whose ids depend on it is
                appended to ``rest`` instead of being encoded.
        """
        return self._encode_pieces(self._pretokenizer.split_stream(strings, rest))

    def encode_many(self, documents: Iterable[str], threads: int) -> Iterator[IdArray]:
        """See :class:`~lmlab.tokenizer.encoder.Encoder`; uses one thread."""
        del threads
        return map(self.encode_array, documents)

    def _encode_pieces(self, pieces: Iterable[tuple[list[str], str | None]]) -> Iterator[list[int]]:
        cache, encode_new = self._cache, self._encode_pretoken
        for pretokens, special in pieces:
            ids: list[int] = []
            for pretoken in pretokens:
                found = cache.get(pretoken)
                ids += encode_new(pretoken) if found is None else found
            if special is not None:
                ids.append(self.ids.special_ids[special])
            if ids:
                yield ids

    def _encode_pretoken(self, pretoken: str) -> list[int]:
        ids = [self.ids.byte_ids[byte] for byte in to_utf8(pretoken)]
        ids = merge_pretoken(ids, self._merges)
        if len(pretoken) <= _LONGEST_CACHED:
            if len(self._cache) >= _MAX_CACHED_PRETOKENS:
                self._cache.clear()
            self._cache[pretoken] = ids
        return ids
