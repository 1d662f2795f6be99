"""Numbers that tell tokenizers apart: compression with its uncertainty, and what they share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.tokenizer import END_OF_TEXT
from lmlab.tokenizer.utf8 import read_utf8

_RESAMPLES = 4000
_LEVEL = 0.95

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def sample_documents(path: Path, number: int, seed: int) -> list[str]:
    """Documents of a text, which end-of-text tokens divide, drawn without replacement.

    Algorithm R (Vitter 1985): every set of ``number`` documents is as likely as every other, and
    no more than these are held in memory.

    Raises:
        DataError: the file is missing, not UTF-8, or has no document.
    """
    chance = np.random.default_rng(seed)
    kept: list[str] = []
    for seen, document in enumerate(_documents(path), start=1):
        if len(kept) < number:
            kept.append(document)
        elif (place := int(chance.integers(seen))) < number:
            kept[place] = document
    if not kept:
        raise DataError(f"{path} holds no text")
    return kept


def _documents(path: Path) -> Any:
    rest = ""
    for text in read_utf8(path):
        *whole, rest = (rest + text).split(END_OF_TEXT)
        yield from (document for document in whole if document.strip())
    if rest.strip():
        yield rest


def bytes_per_token(tokenizer: Tokenizer, documents: Sequence[str], seed: int) -> Estimate:
    """Bytes of all documents over their tokens, with a bootstrap interval over documents.

    Efron and Tibshirani 1993, chapter 13: percentiles of resamples of whole documents.
    """
    sizes = np.array([len(document.encode("utf-8")) for document in documents], dtype=np.float64)
    ids = tokenizer.encode_many(documents)
    tokens = np.array([len(some) for some in ids], dtype=np.float64)
    chance = np.random.default_rng(seed)
    drawn = chance.integers(len(sizes), size=(_RESAMPLES, len(sizes)))
    ratios = sizes[drawn].sum(axis=1) / tokens[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(float(sizes.sum() / tokens.sum()), float(low), float(high))


def shared_entries(one: Tokenizer, two: Tokenizer) -> tuple[int, int, int]:
    """Entries in both, in the first, and in the second, bytes and special tokens not counted."""
    first, second = learned(one), learned(two)
    return len(first & second), len(first), len(second)


def shared_merges(one: Tokenizer, two: Tokenizer) -> tuple[int, int]:
    """Merges in both, and how many of the first ones are the same in the same order."""
    same = 0
    for left, right in zip(one.merges, two.merges, strict=False):
        if left != right:
            break
        same += 1
    return len(set(one.merges) & set(two.merges)), same


def learned(tokenizer: Tokenizer) -> set[bytes]:
    """Entries that merges made."""
    return {left + right for left, right in tokenizer.merges}


def longest(tokenizer: Tokenizer, number: int) -> list[bytes]:
    """The longest entries, longest first, the earlier learned first among equals."""
    made = [left + right for left, right in tokenizer.merges]
    return sorted(made, key=len, reverse=True)[:number]


def length_histogram(tokenizer: Tokenizer, most: int) -> Array:
    """Learned entries of 2, 3, ... bytes; the last place counts those of ``most`` or more."""
    lengths = np.array([len(entry) for entry in learned(tokenizer)], dtype=np.int64)
    return np.bincount(np.minimum(lengths, most), minlength=most + 1)[2:]


def split(tokenizer: Tokenizer, text: str) -> tuple[int, str]:
    """Number of tokens, and the text with a bar between them; parts of characters as bytes."""
    parts = []
    ids = tokenizer.encode(text)
    for index in ids:
        data = tokenizer.token_bytes(index)
        try:
            parts.append(data.decode("utf-8"))
        except UnicodeDecodeError:
            parts.append("".join(f"<{byte:02x}>" for byte in data))
    return len(ids), "|".join(parts)
