"""The ids of several sources in a row; see :class:`lmlab.data.split.SplitTokens`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from lmlab.data.batches import validation_windows
from lmlab.data.id_shards import IdShard, open_ids
from lmlab.data.ids import Ids
from lmlab.data.source_names import named
from lmlab.data.split import SplitTokens
from lmlab.errors import ConfigError
from lmlab.nn.document_layout import Documents
from lmlab.tokenizer import Tokenizer

Windows = list[tuple[int, int]]


class Part(NamedTuple):
    """A source in the ids of a run.

    Attributes:
        name: of the source; empty where it is the only one.
        share: of the training sequences, or of the validation loss.
        split: its ids.
        start: position of its first id in those of all sources.
    """

    name: str
    share: Fraction
    split: SplitTokens
    start: int = 0


def parts_of(split: SplitTokens) -> tuple[Part, ...]:
    """Return the sources in the ids of a run: those that they name, or all as one."""
    return getattr(split, "parts", None) or (Part("", Fraction(1), split),)


class EvaluatedPart(NamedTuple):
    """What an evaluation measures of a source.

    Attributes:
        part: the source.
        windows: start in the ids of the source, and length in tokens.
    """

    part: Part
    windows: Windows

    @property
    def num_tokens(self) -> int:
        """The number of predicted tokens."""
        return sum(length - 1 for _, length in self.windows)

    @property
    def is_whole(self) -> bool:
        """Whether all of the source is evaluated."""
        return self.num_tokens == self.part.split.num_tokens - 1


def evaluated_parts(
    split: SplitTokens, *, context_length: int, max_tokens: int | None
) -> list[EvaluatedPart]:
    """Return what is evaluated of each source.

    Args:
        split: the validation split.
        context_length: see :func:`lmlab.data.batches.validation_windows`.
        max_tokens: upper bound of predicted tokens of all sources together, which have their
            shares of it; None for all tokens.
    """
    return [
        EvaluatedPart(
            part,
            validation_windows(
                part.split.tokens,
                context_length=context_length,
                max_tokens=None if max_tokens is None else int(max_tokens * part.share),
            ),
        )
        for part in parts_of(split)
    ]


@dataclasses.dataclass(frozen=True)
class MixedTokens:
    """The ids of several sources in a row.

    Attributes:
        parts: the sources in order.
    """

    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls, names: Sequence[str], shares: Sequence[Fraction], splits: Sequence[SplitTokens]
    ) -> MixedTokens:
        """Put the ids of sources in a row."""
        parts, start = [], 0
        for name, share, split in zip(names, shares, splits, strict=True):
            parts.append(Part(name, share, split, start))
            start += split.num_tokens
        return cls(tuple(parts))

    @property
    def num_tokens(self) -> int:
        """The number of ids."""
        return sum(part.split.num_tokens for part in self.parts)

    @property
    def shards(self) -> tuple[IdShard, ...]:
        """Where the ids are, in order."""
        return tuple(shard for part in self.parts for shard in part.split.shards)

    @functools.cached_property
    def tokens(self) -> Ids:
        """The ids."""
        return open_ids(self.shards)

    def check(self, tokenizer_hash: str, context_length: int, vocab_size: int) -> None:
        """Check the ids of each source. Raises :class:`DataError`."""
        for part in self.parts:
            with named(part.name):
                part.split.check(tokenizer_hash, context_length, vocab_size)

    def text_bytes(self, tokenizer: Tokenizer) -> int:
        """UTF-8 bytes of the text; 0 where those of a source are not known."""
        found = [part.split.text_bytes(tokenizer) for part in self.parts]
        return sum(found) if all(found) else 0

    def evaluated_bytes(self, tokenizer: Tokenizer, windows: Sequence[tuple[int, int]]) -> int:
        """Bytes of windows of all sources; 0 where those of a source are not known."""
        total = 0
        for part in self.parts:
            last = part.start + part.split.num_tokens
            own = [(a - part.start, n) for a, n in windows if part.start <= a < last]
            if own and not (found := part.split.evaluated_bytes(tokenizer, own)):
                return 0
            total += found if own else 0
        return total

    def documents(self, tokenizer: Tokenizer) -> Documents | None:
        """Which id stands between documents, and where; None if that of a source is not known.

        Raises:
            ConfigError: it differs between the sources.
        """
        found = {part.name: part.split.documents(tokenizer) for part in self.parts}
        first, *others = found.items()
        for name, documents in others:
            if documents != first[1]:
                raise ConfigError(
                    f"data.windows: expected one id between the documents of all sources, found "
                    f"{_in_words(first[1])} in {first[0]} and {_in_words(documents)} in {name}",
                    "set end_id of a source of ids, or data.windows=cross",
                )
        return first[1]


def _in_words(documents: Documents | None) -> str:
    if documents is None:
        return "none"
    return f"{documents.end_id} {'before' if documents.is_before else 'after'} each"
