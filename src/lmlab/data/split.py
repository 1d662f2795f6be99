"""The splits of a corpus: text that a tokenizer encodes, or ids that exist already."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from lmlab.data.id_shards import IdShard
from lmlab.data.ids import Ids
from lmlab.data.text_survey import survey
from lmlab.data.token_file import encode_corpus
from lmlab.nn.document_layout import Documents
from lmlab.records.file_kind import PLAIN
from lmlab.records.text import Text
from lmlab.storage.io import hash_file, hash_json, translate_read_errors
from lmlab.tokenizer import Tokenizer


class SplitTokens(Protocol):
    """The ids of a split, as a run reads them."""

    @property
    def num_tokens(self) -> int:
        """The number of ids."""
        ...

    @property
    def tokens(self) -> Ids:
        """The ids."""
        ...

    @property
    def shards(self) -> tuple[IdShard, ...]:
        """The parts of files that hold the ids, in order."""
        ...

    def check(self, tokenizer_hash: str, context_length: int, vocab_size: int) -> None:
        """Check that the ids can serve a run.

        Args:
            tokenizer_hash: of the run's tokenizer.
            context_length: of the model, in tokens.
            vocab_size: all ids must be below it.

        Raises:
            DataError: there are fewer than ``context_length`` + 1 of them, or they are those of
                another tokenizer.
        """
        ...

    def text_bytes(self, tokenizer: Tokenizer) -> int:
        """UTF-8 bytes of the text that the ids encode; 0 where they are not known."""
        ...

    def evaluated_bytes(self, tokenizer: Tokenizer, windows: Sequence[tuple[int, int]]) -> int:
        """Bytes of the text on which a model is measured; 0 where they are not known.

        Args:
            tokenizer: the run's tokenizer.
            windows: see :func:`lmlab.data.text_bytes.evaluated_bytes`.
        """
        ...

    def documents(self, tokenizer: Tokenizer) -> Documents | None:
        """Which id stands between documents, and where; None if none is known."""
        ...


class Split(Protocol):
    """One split of a corpus, training or validation, before the tokenizer is known."""

    @property
    def text(self) -> Text:
        """Its text, on which a tokenizer can be trained; without files where there are only ids."""
        ...

    @property
    def hash(self) -> str:
        """Hash of its content, which does not depend on paths and formats."""
        ...

    @property
    def text_hash(self) -> str:
        """Hash of :attr:`text`, which may be more than what a run reads of it."""
        ...

    def encode(self, tokenizer: Tokenizer, cache_dir: Path, *, name: str) -> SplitTokens:
        """Return its ids, made once and kept in the cache where they must be made.

        Args:
            tokenizer: the run's tokenizer.
            cache_dir: the cache folder.
            name: name of the split.

        Raises:
            TextChangedError: the content no longer has :attr:`hash`.
            DataError: it cannot be read.
        """
        ...


class TextSplit:
    """A split that is text; see :class:`Split`.

    Args:
        text: the text.
        hash: hash of its content; None computes it when it is needed.
        hash_of: the SHA-256 of one file of plain text.
    """

    def __init__(
        self,
        text: Text,
        hash: str | None = None,
        hash_of: Callable[[Path], str] = hash_file,
    ) -> None:
        self.text, self._hash, self._hash_of = text, hash, hash_of

    @functools.cached_property
    def hash(self) -> str:
        """Hash of the documents, independent of paths and formats."""
        if self._hash is not None:
            return self._hash
        (first, *others) = self.text.files
        if others or first.kind != PLAIN or self.text.has_documents():
            return survey(self.text).text_hash
        with translate_read_errors(first.path):
            return hash_json([self._hash_of(first.path)])

    @property
    def text_hash(self) -> str:
        """The same: all of the text is read."""
        return self.hash

    def encode(self, tokenizer: Tokenizer, cache_dir: Path, *, name: str) -> SplitTokens:
        """Encode the text, or reuse it if it is encoded already."""
        return encode_corpus(self.text, tokenizer, cache_dir, name=name, text_hash=self.hash)
