"""The value of a byte-level BPE tokenizer: vocabulary, merges, special tokens and pattern."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from lmlab.errors import DataError
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN, KINDS
from lmlab.tokenizer.text_markers import TextMarkers
from lmlab.tokenizer.utf8 import to_utf8

MergePair = tuple[bytes, bytes]


class VocabularyIds(NamedTuple):
    """What encoding needs of a vocabulary: ids in place of byte strings.

    Attributes:
        pattern: regular expression of the pre-tokens.
        special_ids: id of each special token.
        byte_ids: id of each byte, (256,).
        merge_ids: left, right and resulting id of each distinct merge by rank, (3 * merges,).
        lengths: number of bytes of each id's entry, (V,).
    """

    pattern: str
    special_ids: dict[str, int]
    byte_ids: list[int]
    merge_ids: array[int]
    lengths: array[int]

    @property
    def vocab_size(self) -> int:
        """Number of ids, V."""
        return len(self.lengths)

    @property
    def id_bytes(self) -> int:
        """Bytes per id in a token file: 2 where every id fits in uint16, otherwise 4."""
        return 2 if self.vocab_size <= 1 << 16 else 4


@dataclasses.dataclass(frozen=True)
class BPEVocabulary:
    """A consistent byte-level BPE vocabulary.

    Attributes:
        vocab: bytes of each id, in the order of ids 0 .. V-1; all 256 single bytes are among them.
        merges: pairs of byte strings in the order in which they were learned.
        special_tokens: strings that always encode to one id each; those not in ``vocab`` are
            appended to it.
        pattern: regular expression of the pre-tokens.
        markers: ids that end and start a text; None: the names of the special tokens say it.
        ids: the same content as ids; computed.

    Raises:
        DataError: the ids are not 0 .. V-1, a single byte or a part or result of a merge has no id,
            a special token is empty, or the pattern is not a regular expression.
    """

    vocab: dict[int, bytes]
    merges: list[MergePair]
    special_tokens: list[str]
    pattern: str = GPT2_PATTERN
    markers: TextMarkers | None = None
    ids: VocabularyIds = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_types(self.vocab, self.pattern)
        vocab = dict(sorted(self.vocab.items()))
        special_bytes = {to_utf8(token): token for token in self.special_tokens}
        if b"" in special_bytes:
            raise DataError("special token '': expected one or more characters")
        known = set(vocab.values())
        for value in special_bytes:
            if value not in known:
                vocab[len(vocab)] = value
        _check_ids(vocab)
        object.__setattr__(self, "vocab", vocab)
        object.__setattr__(self, "ids", _ids_of(self, special_bytes))
        if self.pattern not in KINDS:
            from lmlab.tokenizer.pretokenize import compile_pattern  # imports regex

            compile_pattern(self.pattern)
        if self.markers is not None:
            self.markers.check(len(vocab))

    @classmethod
    def unchecked(cls, ids: VocabularyIds, **fields: Any) -> BPEVocabulary:
        """A vocabulary that was checked before, from its fields and ``ids``."""
        vocabulary = object.__new__(cls)
        for name, value in {"ids": ids, "pattern": ids.pattern, **fields}.items():
            object.__setattr__(vocabulary, name, value)
        return vocabulary

    def entry(self, index: int) -> bytes:
        """The bytes of one id."""
        return self.vocab[index]


def keep_last_of_equal_merges(merges: Sequence[MergePair]) -> list[MergePair]:
    """Of each repeated merge, keep the last: the one whose rank GPT-2 and Hugging Face use."""
    return list(dict.fromkeys(reversed(merges)))[::-1]


def _ids_of(vocabulary: BPEVocabulary, special_bytes: dict[bytes, str]) -> VocabularyIds:
    vocab = vocabulary.vocab
    special_ids = {
        special_bytes[value]: index for index, value in vocab.items() if value in special_bytes
    }
    reserved = set(special_ids.values())
    ids: dict[bytes, int] = {}
    for index, value in vocab.items():
        if index not in reserved:
            ids.setdefault(value, index)  # two merges may have the same result
    merge_ids = _merge_ids(vocabulary.merges, ids)
    return VocabularyIds(
        pattern=vocabulary.pattern,
        special_ids=special_ids,
        byte_ids=_byte_ids(ids),
        merge_ids=merge_ids,
        lengths=array("I", map(len, vocab.values())),
    )


def _check_types(vocab: dict[int, bytes], pattern: str) -> None:
    invalid = next((index for index in vocab if type(index) is not int), None)
    if invalid is not None:
        raise DataError(f"vocabulary id {invalid!r}: expected an integer")
    if not isinstance(pattern, str):
        raise DataError(f"pattern={pattern!r}: expected a regular expression")


def _check_ids(vocab: dict[int, bytes]) -> None:
    """Raise :class:`DataError` unless the ids, in order, are 0 .. V-1."""
    if list(vocab) != list(range(len(vocab))):
        missing = next(expected for expected, index in enumerate(vocab) if expected != index)
        raise DataError(f"vocabulary ids: expected 0 to {len(vocab) - 1}, but {missing} is missing")


def _byte_ids(ids: dict[bytes, int]) -> list[int]:
    missing = [byte for byte in range(256) if bytes([byte]) not in ids]
    if missing:
        raise DataError(
            f"vocabulary: {len(missing)} of the 256 single bytes are missing, the first of them "
            f"{missing[0]:#04x}"
        )
    return [ids[bytes([byte])] for byte in range(256)]


def _merge_ids(merges: Sequence[MergePair], ids: dict[bytes, int]) -> array[int]:
    """Left, right and resulting id of each distinct merge; a repeated one counts where it is first.

    Raises:
        DataError: a part or the result of a merge has no id.
    """
    distinct = dict.fromkeys(merges)
    found = array("i", bytes(12 * len(distinct)))
    try:
        found[0::3] = array("i", [ids[left] for left, _ in distinct])
        found[1::3] = array("i", [ids[right] for _, right in distinct])
        found[2::3] = array("i", [ids[left + right] for left, right in distinct])
        return found
    except KeyError:
        rank, left, right, part = next(
            (rank, left, right, part)
            for rank, (left, right) in enumerate(merges)
            for part in (left, right, left + right)
            if part not in ids
        )
        raise DataError(
            f"merge {rank}, {left!r} + {right!r}: {part!r} is not in the vocabulary"
        ) from None
