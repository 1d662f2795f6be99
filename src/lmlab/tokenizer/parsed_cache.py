"""Cache of parsed and checked tokenizers in the user's cache folder.

Parsing and checking GPT-2's two files takes a tenth of a second; reading the cached result takes
milliseconds. Entries are keyed by the hash of the files' contents.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sys
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

from lmlab.errors import DiskError
from lmlab.storage import user_cache
from lmlab.tokenizer.serialization import content_hash
from lmlab.tokenizer.text_markers import TextMarkers
from lmlab.tokenizer.vocabulary import BPEVocabulary, VocabularyIds

# Increase when parsing finds something else in the same files, or the cache has another format.
_VERSION = 3
_KIND = "tokenizers"
_WORTH_KEEPING = 4096  # entries and bytes; less is read as quickly from the files themselves
_MAX_ENTRIES = 64


class ParsedVocabulary(NamedTuple):
    """A checked vocabulary in compact form, with its hash.

    Attributes:
        hash: of everything that the ids depend on.
        pattern: regular expression of the pre-tokens.
        special_tokens: in the order in which they were given.
        special_ids: id of each special token.
        byte_ids: id of each byte.
        lengths: number of bytes of each id's entry.
        merge_ids: left, right and resulting id of each merge, by rank.
        entries: the bytes of all ids, concatenated.
        markers: ids that end and start a text; None: the names of the special tokens say it.
    """

    hash: str
    pattern: str
    special_tokens: list[str]
    special_ids: dict[str, int]
    byte_ids: list[int]
    lengths: array[int]
    merge_ids: array[int]
    entries: bytes
    markers: TextMarkers | None = None

    @property
    def ids(self) -> VocabularyIds:
        """What encoding needs."""
        return VocabularyIds(
            self.pattern, self.special_ids, self.byte_ids, self.merge_ids, self.lengths
        )

    def entry(self, index: int) -> bytes:
        """The bytes of one id; the vocabulary of all takes tens of milliseconds."""
        start = sum(self.lengths[:index])
        return self.entries[start : start + self.lengths[index]]

    def vocabulary(self) -> BPEVocabulary:
        """The vocabulary as byte strings."""
        ends = itertools.accumulate(self.lengths)
        spans = enumerate(zip(ends, self.lengths, strict=True))
        vocab = {index: self.entries[end - size : end] for index, (end, size) in spans}
        lefts, rights = (map(vocab.__getitem__, self.merge_ids[part::3]) for part in (0, 1))
        return BPEVocabulary.unchecked(
            self.ids,
            vocab=vocab,
            merges=list(zip(lefts, rights, strict=True)),
            special_tokens=self.special_tokens,
            markers=self.markers,
        )


def read(contents: Mapping[str, bytes]) -> ParsedVocabulary | None:
    """The cached result of parsing these files; None where there is none.

    Args:
        contents: the tokenizer's files by name.
    """
    if sum(map(len, contents.values())) < _WORTH_KEEPING:
        return None
    cached = user_cache.read(_KIND, _name(contents))
    if cached is None:
        return None
    header, data = cached
    lengths, merge_ids = array("I"), array("i")
    ends, markers = header.pop("ends"), header.pop("markers")
    if markers is not None:
        header["markers"] = TextMarkers(tuple(markers[0]), markers[1])
    lengths.frombytes(data[: ends[0]])
    merge_ids.frombytes(data[ends[0] : ends[1]])
    return ParsedVocabulary(**header, lengths=lengths, merge_ids=merge_ids, entries=data[ends[1] :])


def keep(contents: Mapping[str, bytes], vocabulary: BPEVocabulary) -> None:
    """Cache the result of parsing these files where that saves time and the disk allows it.

    A vocabulary with repeated merges is not cached: its ids do not include the repetitions.
    """
    ids = vocabulary.ids
    if len(ids.lengths) < _WORTH_KEEPING or len(ids.merge_ids) < 3 * len(vocabulary.merges):
        return
    entries = b"".join(vocabulary.vocab.values())
    parts = (ids.lengths, ids.merge_ids, entries)
    data = [bytes(memoryview(part).cast("B")) for part in parts]
    header: dict[str, Any] = {
        "hash": content_hash(vocabulary),
        "pattern": vocabulary.pattern,
        "special_tokens": vocabulary.special_tokens,
        "special_ids": ids.special_ids,
        "byte_ids": ids.byte_ids,
        "markers": vocabulary.markers,
        "ends": [len(data[0]), len(data[0]) + len(data[1])],
    }
    with contextlib.suppress(DiskError):
        user_cache.write(_KIND, _name(contents), header, b"".join(data), _MAX_ENTRIES)


def _name(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {sys.byteorder}".encode())
    for name, content in contents.items():
        digest.update(f"\0{name} {len(content)}\0".encode())
        digest.update(content)
    return f"{digest.hexdigest()[:32]}.tokenizer"
