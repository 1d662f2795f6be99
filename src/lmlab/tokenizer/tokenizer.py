"""The byte-level BPE tokenizer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmlab.errors import DataError
from lmlab.runtime.processor import usable_cores
from lmlab.tokenizer import parsed_cache, serialization
from lmlab.tokenizer.adaptive_encoder import AdaptiveEncoder
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.parsed_cache import ParsedVocabulary
from lmlab.tokenizer.text_markers import (
    END_OF_TEXT,
    TextMarkers,
    default_markers,
    markers_named,
)
from lmlab.tokenizer.vocabulary import BPEVocabulary, MergePair

__all__ = ["END_OF_TEXT", "Tokenizer"]

if TYPE_CHECKING:
    import numpy as np

    from lmlab.tokenizer.encoder import IdArray


class Tokenizer:
    """Encodes text as ids and decodes ids as text: Sennrich et al. 2016 on bytes, as in GPT-2.

    Args:
        vocab: bytes of each id, 0 .. V-1; all 256 single bytes are among them.
        merges: pairs of byte strings in the order in which they were learned.
        special_tokens: strings that always encode to one id each; those not in ``vocab`` are
            appended to it.
        pattern: regular expression of the pre-tokens.

    Raises:
        DataError: inconsistent parts; see :class:`~lmlab.tokenizer.vocabulary.BPEVocabulary`.
    """

    has_text = True  # see lmlab.tokenizer.ids_only

    def __init__(
        self,
        vocab: dict[int, bytes],
        merges: Sequence[MergePair],
        special_tokens: Sequence[str] | None = None,
        *,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        self._set(BPEVocabulary(vocab, list(merges), list(special_tokens or []), pattern))

    @classmethod
    def from_vocabulary(cls, vocabulary: BPEVocabulary | ParsedVocabulary) -> Tokenizer:
        """The tokenizer of a vocabulary."""
        tokenizer = cls.__new__(cls)
        tokenizer._set(vocabulary)
        return tokenizer

    def _set(self, source: BPEVocabulary | ParsedVocabulary) -> None:
        self._source = source
        self.ids = source.ids
        self.pattern, self.special_tokens = source.pattern, source.special_tokens
        self.encoder = AdaptiveEncoder(source.ids)

    @functools.cached_property
    def vocabulary(self) -> BPEVocabulary:
        """The tokenizer's value, from which an equal one can be made."""
        source = self._source
        return source.vocabulary() if isinstance(source, ParsedVocabulary) else source

    @functools.cached_property
    def vocab(self) -> dict[int, bytes]:
        """Bytes of each id, 0 .. V-1."""
        return self.vocabulary.vocab

    @functools.cached_property
    def merges(self) -> list[MergePair]:
        """Pairs of byte strings in the order in which they were learned."""
        return self.vocabulary.merges

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of everything that the ids depend on."""
        source = self._source
        if isinstance(source, ParsedVocabulary):
            return source.hash
        return serialization.content_hash(source)

    @property
    def vocab_size(self) -> int:
        """Number of ids, V."""
        return self.ids.vocab_size

    @property
    def markers(self) -> TextMarkers:
        """The ids that end and start a text."""
        return self._source.markers or default_markers(self.ids.special_ids)

    @property
    def end_of_text_id(self) -> int | None:
        """Id of the token that separates documents; None if the tokenizer has no such token."""
        return next(iter(self.markers.ends), None)

    @property
    def end_marker(self) -> bytes | None:
        """The bytes of the token that separates documents; None if there is no such token."""
        end = self.end_of_text_id
        return None if end is None else self._source.entry(end)

    @property
    def start_id(self) -> int:
        """Id with which a text without a prompt starts; a newline if no token is for this."""
        start, end = self.markers.start, self.end_of_text_id
        known = end if start is None else start
        return self.byte_ids[ord("\n")] if known is None else known

    def with_end_of_text(self, token: str | None, key: str = "end_of_text") -> Tokenizer:
        """The same tokenizer for texts that end with the special token ``token``.

        Args:
            token: None to keep the tokenizer as it is.
            key: the setting, for the message.

        Raises:
            ConfigError: there is no such special token.
        """
        if token is None:
            return self
        markers = markers_named(token, self.ids.special_ids, key)
        if markers == self.markers:
            return self
        return Tokenizer.from_vocabulary(dataclasses.replace(self.vocabulary, markers=markers))

    @property
    def byte_ids(self) -> list[int]:
        """Id of each byte, (256,)."""
        return self.ids.byte_ids

    @property
    def id_bytes(self) -> int:
        """Bytes per id in a token file."""
        return self.ids.id_bytes

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of ids in arrays and token files: little-endian uint16, or uint32 where needed."""
        import numpy as np

        return np.dtype(f"<u{self.id_bytes}")

    @functools.cached_property
    def token_byte_lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """UTF-8 bytes per id, (V,); 0 for ``<|endoftext|>``, which is not part of a text."""
        import numpy as np  # not needed to load a tokenizer and encode a line

        lengths = np.array(self.ids.lengths, dtype=np.int64)
        if END_OF_TEXT in self.ids.special_ids:
            lengths[self.ids.special_ids[END_OF_TEXT]] = 0
        return lengths

    def token_bytes(self, index: int) -> bytes:
        """The bytes of one id. Raises :class:`DataError` for an id out of range."""
        try:
            return self.vocab[index]
        except KeyError:
            raise DataError(
                f"token id {index}: expected 0 to {self.vocab_size - 1}",
                "decode with the tokenizer that encoded the text",
            ) from None

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text``. Raises :class:`DataError` for lone surrogates."""
        return self.encoder.encode(text)

    def encode_array(self, text: str) -> IdArray:
        """Return the ids of ``text`` as an array of :attr:`dtype`: faster for long texts."""
        return self.encoder.encode_array(text)

    def encode_many(
        self, documents: Iterable[str], threads: int | None = None
    ) -> Iterator[IdArray]:
        """Yield the ids of each document, in order, as arrays of :attr:`dtype`.

        Args:
            documents: texts; read as needed.
            threads: number of threads; None for one per usable core.
        """
        return self.encoder.encode_many(documents, threads or usable_cores())

    def encode_iterable(self, strings: Iterable[str]) -> Iterator[int]:
        """Yield the ids of the concatenated strings, wherever they are cut, in bounded memory."""
        for chunk in self.encode_chunks(strings):
            yield from chunk

    def encode_chunks(self, strings: Iterable[str]) -> Iterator[list[int]]:
        """Yield the ids of :meth:`encode_iterable` in lists."""
        return self.encoder.encode_chunks(strings)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ``ids``; malformed bytes become U+FFFD.

        Raises:
            DataError: an id is out of range.
        """
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer to ``folder``; see :mod:`lmlab.tokenizer.serialization`."""
        serialization.save(Path(folder), self.vocabulary)

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        """Read a tokenizer saved by :meth:`save`, by Hugging Face's library, or as GPT-2's files.

        Raises:
            DataError: a file is missing, damaged or not supported.
        """
        path = Path(folder)
        contents = serialization.read(path)
        parsed = parsed_cache.read(contents)
        if parsed is not None:
            return cls.from_vocabulary(parsed)
        vocabulary = serialization.parse(path, contents)
        parsed_cache.keep(contents, vocabulary)
        return cls.from_vocabulary(vocabulary)
