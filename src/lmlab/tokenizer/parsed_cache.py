"""Large tokenizers as they were found when they were first read, in this user's cache folder.

Reading and checking GPT-2's two files takes a tenth of a second; what is kept here takes
milliseconds. A file is found by the hash of what was read.
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

# Raised when reading a tokenizer finds something else in the same files.
_VERSION = 1
_KIND = "tokenizers"
_WORTH_KEEPING = 4096  # entries; fewer are read as quickly from their own file
_MOST_KEPT = 64


class Checked(NamedTuple):
    """A tokenizer whose parts hold together.

    Attributes:
        hash: of everything that the behaviour depends on.
        pattern: regular expression of the pre-tokens.
        special_tokens: in the order in which they were given.
        special_ids: id of each special token.
        byte_ids: id of each byte.
        lengths: bytes of each id's entry.
        merge_ids: left, right and resulting id of each merge, by rank.
        entries: the bytes of all ids one behind the other.
    """

    hash: str
    pattern: str
    special_tokens: list[str]
    special_ids: dict[str, int]
    byte_ids: list[int]
    lengths: array[int]
    merge_ids: array[int]
    entries: bytes

    def vocab(self) -> dict[int, bytes]:
        """Bytes of each id."""
        ends = itertools.accumulate(self.lengths)
        places = zip(ends, self.lengths, strict=True)
        return {index: self.entries[end - size : end] for index, (end, size) in enumerate(places)}


def read(contents: Mapping[str, bytes]) -> Checked | None:
    """What was kept of a tokenizer.

    Args:
        contents: the files that it is saved in, by their names.
    """
    if sum(map(len, contents.values())) < _WORTH_KEEPING:
        return None
    found = user_cache.read(_KIND, _name(contents))
    if found is None:
        return None
    header, data = found
    lengths, merge_ids = array("I"), array("i")
    ends = header.pop("ends")
    lengths.frombytes(data[: ends[0]])
    merge_ids.frombytes(data[ends[0] : ends[1]])
    return Checked(**header, lengths=lengths, merge_ids=merge_ids, entries=data[ends[1] :])


def keep(contents: Mapping[str, bytes], checked: Checked) -> None:
    """Keep what was found in these files, where that saves time and the disk takes it."""
    if len(checked.lengths) < _WORTH_KEEPING:
        return
    header: dict[str, Any] = checked._asdict()
    parts = [header.pop(name) for name in ("lengths", "merge_ids", "entries")]
    data = [bytes(memoryview(part).cast("B")) for part in parts]
    header["ends"] = [len(data[0]), len(data[0]) + len(data[1])]
    with contextlib.suppress(DiskError):
        user_cache.keep(_KIND, _name(contents), header, b"".join(data), _MOST_KEPT)


def _name(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {sys.byteorder}".encode())
    for name, content in contents.items():
        digest.update(f"\0{name} {len(content)}\0".encode())
        digest.update(content)
    return f"{digest.hexdigest()[:32]}.tokenizer"
