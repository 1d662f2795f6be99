"""lmlab's own ``tokenizer.json``: format version, pattern, special tokens, vocabulary and merges.

The vocabulary is a list ordered by id. Byte strings are written as hexadecimal digits.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from lmlab.errors import DataError
from lmlab.storage.fields import COUNT, TEXT, TEXTS, wrong_field
from lmlab.storage.io import hash_json
from lmlab.tokenizer.text_markers import TextMarkers
from lmlab.tokenizer.vocabulary import BPEVocabulary

FORMAT_VERSION = 1
CHECKSUM = "checksum"  # of everything else; absent in files of earlier versions
MARKERS = "text_markers"  # present where the names of the special tokens do not say it
_FIELDS = {
    "vocab_size": COUNT, "pattern": TEXT, "special_tokens": TEXTS, "vocab": TEXTS, "merges": TEXTS,
}  # fmt: skip
_SPLIT = operator.methodcaller("split", " ")


def to_lmlab(vocabulary: BPEVocabulary) -> dict[str, Any]:
    """The content of ``tokenizer.json`` as JSON values."""
    markers = vocabulary.markers
    return {
        "format_version": FORMAT_VERSION,
        "vocab_size": len(vocabulary.vocab),
        "pattern": vocabulary.pattern,
        "special_tokens": list(vocabulary.special_tokens),
        "vocab": [value.hex() for value in vocabulary.vocab.values()],
        "merges": [f"{left.hex()} {right.hex()}" for left, right in vocabulary.merges],
        **({} if markers is None else {MARKERS: [list(markers.ends), markers.start]}),
    }


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file, with the checksum that :func:`from_lmlab` verifies."""
    return {**content, CHECKSUM: hash_json(content)}


def from_lmlab(saved: Mapping[str, Any]) -> BPEVocabulary:
    """Undo :func:`to_lmlab`.

    Raises:
        DataError: another format version, or an inconsistent vocabulary.
        ValueError, LookupError, TypeError, AttributeError: the content is damaged.
    """
    version = saved["format_version"]
    if version != FORMAT_VERSION:
        raise DataError(
            f"format version {version}: expected {FORMAT_VERSION}",
            "read it with the version of lmlab that wrote it",
        )
    content = dict(saved)
    checksum = content.pop(CHECKSUM, None)
    if checksum is not None and checksum != hash_json(content):
        raise ValueError(
            f"the {CHECKSUM} differs: the file was changed; remove that key if you changed it"
        )
    if wrong := wrong_field(saved, _FIELDS):
        raise DataError(wrong)
    vocab = {index: bytes.fromhex(value) for index, value in enumerate(saved["vocab"])}
    merges = [
        (bytes.fromhex(left), bytes.fromhex(right)) for left, right in map(_SPLIT, saved["merges"])
    ]
    specials = saved["special_tokens"]
    if len(vocab) != saved["vocab_size"]:
        raise ValueError(f"{len(vocab)} entries, but vocab_size is {saved['vocab_size']}")
    if not {token.encode("utf-8") for token in specials} <= set(vocab.values()):
        raise ValueError("a special token is not in the vocabulary")
    ends, start = saved.get(MARKERS) or (None, None)
    markers = None if ends is None else TextMarkers(tuple(ends), start)
    return BPEVocabulary(vocab, merges, specials, saved["pattern"], markers)
