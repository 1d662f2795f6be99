"""The first tokens of a training split: ``data.tokens``."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from lmlab.data.id_shards import IdShard, open_ids, part_of
from lmlab.data.ids import Ids
from lmlab.data.split import Split, SplitTokens
from lmlab.errors import Check, DataError
from lmlab.nn.document_layout import Documents
from lmlab.records.text import Text
from lmlab.storage.io import hash_json
from lmlab.tokenizer import Tokenizer

log = logging.getLogger(__name__)


def tokens_check(tokens: float | None) -> Check:
    """The check of the setting ``data.tokens``."""
    is_valid = tokens is None or (tokens >= 1 and tokens == int(tokens))
    return Check("data.tokens", tokens, is_valid, "a whole number of tokens, 1 or more, or null")


@dataclasses.dataclass(frozen=True)
class CappedTokens:
    """The first ids of a split; see :class:`lmlab.data.split.SplitTokens`.

    Attributes:
        split: all of them.
        num_tokens: how many are read; the last document may be cut.
    """

    split: SplitTokens
    num_tokens: int

    @property
    def shards(self) -> tuple[IdShard, ...]:
        """The parts of files that hold the ids, in order."""
        return tuple(part_of(self.split.shards, 0, self.num_tokens))

    @property
    def tokens(self) -> Ids:
        """The ids."""
        return open_ids(self.shards)

    def check(self, tokenizer_hash: str, context_length: int, vocab_size: int) -> None:
        """Check that the ids can serve a run. Raises :class:`DataError`."""
        self.split.check(tokenizer_hash, context_length, vocab_size)
        if self.num_tokens < context_length + 1:
            raise DataError(
                f"data.tokens={self.num_tokens}: expected at least {context_length + 1}, "
                "model.context_length + 1",
                "raise it, or lower model.context_length",
            )

    def text_bytes(self, tokenizer: Tokenizer) -> int:
        """UTF-8 bytes of the text that the ids encode; 0 where they are not known."""
        # A window predicts all of its tokens but the first, which here stands before the text.
        return self.split.evaluated_bytes(tokenizer, [(-1, self.num_tokens + 1)])

    def evaluated_bytes(self, tokenizer: Tokenizer, windows: Sequence[tuple[int, int]]) -> int:
        """Bytes of a part; see :func:`lmlab.data.text_bytes.evaluated_bytes`."""
        if sum(length - 1 for _, length in windows) >= self.num_tokens - 1:
            return self.text_bytes(tokenizer)
        return self.split.evaluated_bytes(tokenizer, windows)

    def documents(self, tokenizer: Tokenizer) -> Documents | None:
        """Which id stands between documents, and where; None if none is known."""
        return self.split.documents(tokenizer)


@dataclasses.dataclass(frozen=True)
class CappedSplit:
    """A split of which a run reads the first tokens; see :class:`lmlab.data.split.Split`.

    All of the text is encoded, and a tokenizer is trained on all of it, so that runs with several
    caps share both.

    Attributes:
        split: all of it.
        num_tokens: at most how many tokens are read.
    """

    split: Split
    num_tokens: int

    @property
    def text(self) -> Text:
        """All of the text."""
        return self.split.text

    @property
    def hash(self) -> str:
        """Hash of the content and of the number of tokens."""
        return hash_json({"tokens": self.num_tokens, "of": self.split.hash})

    @property
    def text_hash(self) -> str:
        """Hash of all of the text."""
        return self.split.text_hash

    def encode(self, tokenizer: Tokenizer, cache_dir: Path, *, name: str) -> SplitTokens:
        """Return the first ids, and say how many there are in all."""
        found = self.split.encode(tokenizer, cache_dir, name=name)
        read = min(self.num_tokens, found.num_tokens)
        rest = f"the first {read:,} of" if read < found.num_tokens else "not more than"
        log.info("data.tokens=%d: the run reads %s %s training tokens", self.num_tokens, rest,
                 f"{found.num_tokens:,}")  # fmt: skip
        return CappedTokens(found, read)
