"""The byte-level BPE tokenizer."""

from __future__ import annotations

import functools
import itertools
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmlab.errors import DataError
from lmlab.runtime.processor import usable_cores
from lmlab.storage.io import hash_json
from lmlab.tokenizer import parsed_cache, serialization, vocabulary
from lmlab.tokenizer.kernels import library
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN, KINDS
from lmlab.tokenizer.parsed_cache import Checked
from lmlab.tokenizer.pretoken_merging import merge_pieces
from lmlab.tokenizer.utf8 import to_utf8

if TYPE_CHECKING:
    import numpy as np

    from lmlab.tokenizer.fast_encoder import FastEncoder
    from lmlab.tokenizer.kernel_encoder import Tables
    from lmlab.tokenizer.pretokenize import PreTokenizer

END_OF_TEXT = "<|endoftext|>"
_CACHED_PRETOKENS = 1 << 18
_LONGEST_CACHED = 64

# Characters encoded in Python before the kernels are loaded (a tenth of a second), before they are
# compiled (a second, once on a machine), and of a stream, which may have to stay in little memory.
_WORTH_LOADING = 1 << 18
_WORTH_COMPILING = 1 << 21
_WORTH_IN_STREAM = 1 << 23
_LIST_LENGTH = 1 << 12


class Tokenizer:
    """Encodes text as ids and decodes ids as text: Sennrich et al. 2016 on bytes, as GPT-2 does.

    Args:
        vocab: bytes of each id, 0 .. V-1; all 256 single bytes are among them.
        merges: pairs of byte strings in the order in which they were learned.
        special_tokens: strings that encode to one id of their own, whatever they stand between;
            those not in ``vocab`` are appended to it.
        pattern: regular expression of the pre-tokens.

    Raises:
        DataError: ids are not 0 .. V-1, a byte is missing, or a merge's parts or result are; a
            special token is empty, or the pattern no regular expression.
    """

    _known: Checked  # of one that was read before, whose vocabulary is made when asked for

    def __init__(
        self,
        vocab: dict[int, bytes],
        merges: Sequence[tuple[bytes, bytes]],
        special_tokens: Sequence[str] | None = None,
        *,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        vocabulary.check_types(vocab, pattern)
        self.vocab = dict(sorted(vocab.items()))
        self.merges = list(merges)
        self.special_tokens = list(special_tokens or [])
        self.pattern = pattern
        special_bytes = {to_utf8(token): token for token in self.special_tokens}
        if b"" in special_bytes:
            raise DataError("special token '': accepted are strings of one character or more")
        known = set(self.vocab.values())
        for value in special_bytes:
            if value not in known:
                self.vocab[len(self.vocab)] = value
        vocabulary.check_ids(self.vocab)
        self._special_ids = {
            special_bytes[value]: index
            for index, value in self.vocab.items()
            if value in special_bytes
        }
        reserved = set(self._special_ids.values())
        ids: dict[bytes, int] = {}
        for index, value in self.vocab.items():
            if index not in reserved:
                ids.setdefault(value, index)  # two merges may have one result
        self._merge_ids = vocabulary.merge_ids(self.merges, ids)
        self.byte_ids = vocabulary.byte_ids(ids)
        self._lengths = array("I", map(len, self.vocab.values()))
        if pattern not in KINDS:
            _ = self._pretokenizer  # raises for what is no pattern
        self._begin()

    def _begin(self) -> None:
        """Set what changes as text is encoded."""
        self._cache: dict[str, list[int]] = {}
        self._tables: Tables | None = None
        self._fast: FastEncoder | None = None
        self._characters = 0

    @functools.cached_property
    def vocab(self) -> dict[int, bytes]:
        """Bytes of each id, 0 .. V-1."""
        return self._known.vocab()

    @functools.cached_property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """Pairs of byte strings in the order in which they were learned."""
        lefts, rights = (map(self.vocab.__getitem__, self._merge_ids[part::3]) for part in (0, 1))
        return list(zip(lefts, rights, strict=True))

    @functools.cached_property
    def _pretokenizer(self) -> PreTokenizer:
        from lmlab.tokenizer.pretokenize import PreTokenizer  # regex: kernels do without

        return PreTokenizer(self.pattern, self.special_tokens)

    @property
    def vocab_size(self) -> int:
        """Number of ids, V."""
        return len(self._lengths)

    @property
    def end_of_text_id(self) -> int | None:
        """The id of ``<|endoftext|>``; None where the tokenizer has no such special token."""
        return self._special_ids.get(END_OF_TEXT)

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of everything that the behaviour depends on."""
        return hash_json(self._content())

    @functools.cached_property
    def _merges(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Rank and resulting id of each pair of ids: for encoding in Python."""
        lefts, rights, results = (self._merge_ids[part::3] for part in range(3))
        return dict(zip(zip(lefts, rights, strict=True), enumerate(results), strict=True))

    @functools.cached_property
    def token_byte_lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Bytes of text that each id stands for, (V,); special tokens stand for none."""
        import numpy as np  # not for a process that loads and encodes a line

        lengths = np.array(self._lengths, dtype=np.int64)
        lengths[list(self._special_ids.values())] = 0
        return lengths

    def token_bytes(self, index: int) -> bytes:
        """The bytes of one id. Raises :class:`DataError` for an id out of range."""
        try:
            return self.vocab[index]
        except KeyError:
            raise DataError(
                f"token id {index} is out of range: this tokenizer has ids 0 to "
                f"{self.vocab_size - 1}"
            ) from None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest of uint16 and uint32 that holds every id."""
        import numpy as np

        return np.dtype(f"<u{self.id_bytes}")

    @property
    def id_bytes(self) -> int:
        """Bytes of an id in a token file: those of :attr:`dtype`."""
        return 2 if self.vocab_size <= 1 << 16 else 4

    def fast(self, characters: int, enough: int = _WORTH_LOADING) -> FastEncoder | None:
        """The encoder by kernels, if there is one and it pays for that much text.

        Args:
            characters: to be encoded now.
            enough: how many make it worth loading, those encoded before counted in.
        """
        if self._fast is None:
            tables = self.tables(characters, enough)
            if tables is not None:
                from lmlab.tokenizer.fast_encoder import (
                    FastEncoder,  # what only reads ids needs none of it
                )

                self._fast = FastEncoder(tables)
        return self._fast

    def tables(self, characters: int, enough: int = _WORTH_LOADING) -> Tables | None:
        """The kernels' tables, if there are any and they pay; see :meth:`fast`."""
        self._characters += characters
        if (
            self._tables is None
            and self._characters >= enough
            and (self._characters >= _WORTH_COMPILING or library.is_cached("encoding"))
        ):
            from lmlab.tokenizer.kernel_encoder import make_tables

            self._tables = make_tables(
                pattern=self.pattern,
                vocab_size=self.vocab_size,
                byte_ids=self.byte_ids,
                merge_ids=self._merge_ids,
                special_ids=self._special_ids,
            )
        return self._tables

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text``. Raises :class:`DataError` for lone surrogates."""
        fast = self.fast(len(text))
        return self.encode_slowly(text) if fast is None else fast.encode_as_list(text)

    def encode_array(self, text: str) -> np.ndarray[Any, np.dtype[Any]]:
        """Return what :meth:`encode` does as an array of :attr:`dtype`: quicker for long texts."""
        fast = self.fast(len(text))
        if fast is None:
            return self._slowly_as_array(text)
        return fast.encode(text)

    def encode_many(
        self, documents: Iterable[str], threads: int | None = None
    ) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
        """Yield the ids of each document, in order, as arrays of :attr:`dtype`.

        Args:
            documents: texts, read as they are needed.
            threads: how many encode at a time; None for one a processor.
        """
        threads = threads or usable_cores()
        documents = iter(documents)
        for document in documents:
            fast = self.fast(len(document))
            if fast is not None:
                yield from fast.many(itertools.chain([document], documents), threads)
                return
            yield self._slowly_as_array(document)

    def encode_slowly(self, text: str) -> list[int]:
        """What :meth:`encode` does, in Python and for any pattern: the kernels' reference."""
        ids: list[int] = []
        for chunk in self._encode_pieces(self._pretokenizer.split(text)):
            ids += chunk
        return ids

    def _slowly_as_array(self, text: str) -> np.ndarray[Any, np.dtype[Any]]:
        import numpy as np

        return np.array(self.encode_slowly(text), dtype=self.dtype)

    def encode_iterable(self, strings: Iterable[str]) -> Iterator[int]:
        """Yield the ids of the concatenated strings, wherever they are cut, in bounded memory."""
        for chunk in self.encode_chunks(strings):
            yield from chunk

    def encode_chunks(self, strings: Iterable[str]) -> Iterator[list[int]]:
        """Yield what :meth:`encode_iterable` does, in lists of convenient length."""
        strings = iter(strings)
        rest: list[str] = []
        if self._fast is None:
            slowly = self._pretokenizer.split_stream(self._until_fast(strings), rest)
            yield from self._encode_pieces(slowly)
        if self._fast is None:
            yield from self._encode_pieces(self._pretokenizer.split("".join(rest)))
        else:
            for ids in self._fast.chunks(itertools.chain(rest, strings)):
                # Python's integers take ten times the room of an array's.
                for start in range(0, len(ids), _LIST_LENGTH):
                    yield ids[start : start + _LIST_LENGTH].tolist()

    def _until_fast(self, strings: Iterable[str]) -> Iterator[str]:
        """Pass strings on, up to that which makes the kernels worthwhile."""
        for string in strings:
            fast = self.fast(len(string), _WORTH_IN_STREAM)
            yield string
            if fast is not None:
                return

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ``ids``; malformed bytes become U+FFFD.

        Raises:
            DataError: an id is out of range.
        """
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer to ``folder``; see :mod:`lmlab.tokenizer.serialization`."""
        serialization.save(Path(folder), self._content())

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        """Read a tokenizer from a folder written by :meth:`save`, or of GPT-2's own two files.

        Raises:
            DataError: a file is missing or damaged.
        """
        path = Path(folder)
        contents = serialization.read(path)
        known = parsed_cache.read(contents)
        if known is not None:
            return cls._of(known)
        parts = serialization.parse(path, contents)
        try:
            tokenizer = cls(**parts)
        except DataError as error:
            name = next(iter(contents))
            raise DataError(f"{path / name} holds no usable tokenizer: {error}") from error
        tokenizer._keep(contents)
        return tokenizer

    @classmethod
    def _of(cls, known: Checked) -> Tokenizer:
        """A tokenizer that was checked before."""
        tokenizer = cls.__new__(cls)
        tokenizer.pattern, tokenizer.special_tokens = known.pattern, known.special_tokens
        tokenizer.byte_ids, tokenizer._special_ids = known.byte_ids, known.special_ids
        tokenizer._lengths, tokenizer._merge_ids = known.lengths, known.merge_ids
        tokenizer.hash = known.hash
        tokenizer._known = known
        tokenizer._begin()
        return tokenizer

    def _keep(self, contents: Mapping[str, bytes]) -> None:
        """Let whoever reads these files next find what they hold."""
        if len(self._merge_ids) < 3 * len(self.merges):
            return  # one stands there twice, which merge_ids do not tell
        parsed_cache.keep(
            contents,
            Checked(
                hash=self.hash,
                pattern=self.pattern,
                special_tokens=self.special_tokens,
                special_ids=self._special_ids,
                byte_ids=self.byte_ids,
                lengths=self._lengths,
                merge_ids=self._merge_ids,
                entries=b"".join(self.vocab.values()),
            ),
        )

    def _content(self) -> dict[str, Any]:
        return serialization.content(self.vocab, self.merges, self.special_tokens, self.pattern)

    def _encode_pieces(self, pieces: Iterable[tuple[list[str], str | None]]) -> Iterator[list[int]]:
        cache, encode_new = self._cache, self._encode_pretoken
        for pretokens, special in pieces:
            ids: list[int] = []
            for pretoken in pretokens:
                found = cache.get(pretoken)
                ids += encode_new(pretoken) if found is None else found
            if special is not None:
                ids.append(self._special_ids[special])
            if ids:
                yield ids

    def _encode_pretoken(self, pretoken: str) -> list[int]:
        ids = [self.byte_ids[byte] for byte in to_utf8(pretoken)]
        ids = merge_pieces(ids, self._merges)
        if len(pretoken) <= _LONGEST_CACHED:
            if len(self._cache) >= _CACHED_PRETOKENS:
                self._cache.clear()
            self._cache[pretoken] = ids
        return ids
