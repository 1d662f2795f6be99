"""A split of ids that exist already; see :class:`lmlab.data.split.Split`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lmlab.data.id_shards import IdShard, open_ids
from lmlab.data.id_survey import IdSurvey
from lmlab.data.ids import Ids
from lmlab.data.text_bytes import evaluated_bytes, text_bytes
from lmlab.errors import DataError
from lmlab.nn.document_layout import Documents
from lmlab.records.text import Text
from lmlab.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class IdTokens:
    """The ids of a split; see :class:`lmlab.data.split.SplitTokens`.

    Attributes:
        shards: where they are, in order.
        survey: what a pass over them found.
        key: the setting that names them, for messages.
        end_id: the id between documents; None if none is known.
        bytes_per_token: of the text, as the user says; None: those of the tokenizer's entries.
        made_by: hashes of the tokenizers that made them, as far as they are known.
        end_is_before: whether ``end_id`` stands before each document instead of after it.
    """

    shards: tuple[IdShard, ...]
    survey: IdSurvey
    key: str
    end_id: int | None
    bytes_per_token: float | None
    made_by: frozenset[str]
    end_is_before: bool = False

    @property
    def num_tokens(self) -> int:
        """The number of ids."""
        return self.survey.num_tokens

    @property
    def tokens(self) -> Ids:
        """The ids, mapped from their files."""
        return open_ids(self.shards)

    def check(self, tokenizer_hash: str, context_length: int, vocab_size: int) -> None:
        """Check that the ids can serve a run.

        Raises:
            DataError: there are fewer than ``context_length`` + 1, or one is not below
                ``vocab_size``.
        """
        del tokenizer_hash  # encode has compared it
        if self.num_tokens < context_length + 1:
            raise DataError(
                f"model.context_length={context_length}: expected at least {context_length + 1} "
                f"ids in {self.key}, found {self.num_tokens}",
                "provide more ids or lower model.context_length",
            )
        found = self.survey
        if found.largest_id >= vocab_size:
            shard = self.shards[found.largest_file]
            raise DataError(
                f"{self.key}={shard.path}: expected ids from 0 to {vocab_size - 1} "
                f"(model.vocab_size={vocab_size}), found {found.largest_id} as number "
                f"{found.largest_place:,} of {shard.dtype}",
                f"set model.vocab_size={found.largest_id + 1} or more, or data.dtype if ids have "
                "another width",
            )

    def text_bytes(self, tokenizer: Tokenizer) -> int:
        """UTF-8 bytes of the text; 0 where they are not known."""
        if self.bytes_per_token is not None:
            return round(self.num_tokens * self.bytes_per_token)
        if not tokenizer.has_text:
            return 0
        return text_bytes(tokenizer, self.tokens, self._end_of(tokenizer))

    def evaluated_bytes(self, tokenizer: Tokenizer, windows: Sequence[tuple[int, int]]) -> int:
        """Bytes of a part; 0 where they are not known."""
        if self.bytes_per_token is not None:
            predicted = sum(length - 1 for _, length in windows)
            whole = predicted >= self.num_tokens - 1
            return round((self.num_tokens if whole else predicted) * self.bytes_per_token)
        if not tokenizer.has_text:
            return 0
        return evaluated_bytes(tokenizer, self.tokens, windows, self._end_of(tokenizer))

    def documents(self, tokenizer: Tokenizer) -> Documents | None:
        """Which id stands between documents, and where; None if none is known."""
        end_id = self._end_of(tokenizer)
        return None if end_id is None else Documents(end_id, self.end_is_before)

    def _end_of(self, tokenizer: Tokenizer) -> int | None:
        return tokenizer.end_of_text_id if self.end_id is None else self.end_id


@dataclasses.dataclass(frozen=True)
class IdSplit:
    """A split that is ids; see :class:`lmlab.data.split.Split`.

    Attributes:
        ids: the ids.
    """

    ids: IdTokens

    @property
    def text(self) -> Text:
        """A text without files."""
        return Text((), key=self.ids.key)

    @property
    def hash(self) -> str:
        """Hash of the ids in order, independent of files and formats."""
        return self.ids.survey.hash

    @property
    def text_hash(self) -> str:
        """The same: there is no other text."""
        return self.hash

    def encode(self, tokenizer: Tokenizer, cache_dir: Path, *, name: str) -> IdTokens:
        """Return the ids, which are not copied.

        Raises:
            DataError: another tokenizer made them, as the files say.
        """
        del cache_dir, name
        others = self.ids.made_by - {tokenizer.hash}
        if tokenizer.has_text and others:
            raise DataError(
                f"{self.ids.key}: made by another tokenizer ({min(others)[:8]}, expected "
                f"{tokenizer.hash[:8]})",
                "set tokenizer.path to the one that made them",
            )
        return self.ids
