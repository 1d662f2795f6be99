"""Measures of tokenizers: compression with its uncertainty, and overlap of vocabularies."""

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
    """Sample documents of a text without replacement; end-of-text tokens separate them.

    Algorithm R (Vitter 1985): all sets of ``number`` documents are equally likely, and only one
    set is in memory.

    Raises:
        DataError: the file is missing, not UTF-8, or has no document.
    """
    rng = np.random.default_rng(seed)
    sample: list[str] = []
    for seen, document in enumerate(_documents(path), start=1):
        if len(sample) < number:
            sample.append(document)
        elif (index := int(rng.integers(seen))) < number:
            sample[index] = document
    if not sample:
        raise DataError(f"{path}: the text is empty")
    return sample


def _documents(path: Path) -> Any:
    rest = ""
    for text in read_utf8(path):
        *complete, rest = (rest + text).split(END_OF_TEXT)
        yield from (document for document in complete if document.strip())
    if rest.strip():
        yield rest


def bytes_per_token(tokenizer: Tokenizer, documents: Sequence[str], seed: int) -> Estimate:
    """Estimate bytes per token over all documents, with a bootstrap interval over documents.

    Efron and Tibshirani 1993, chapter 13: percentiles of resampled documents.
    """
    sizes = np.array([len(document.encode("utf-8")) for document in documents], dtype=np.float64)
    ids = tokenizer.encode_many(documents)
    tokens = np.array([len(some) for some in ids], dtype=np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(sizes), size=(_RESAMPLES, len(sizes)))
    ratios = sizes[drawn].sum(axis=1) / tokens[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(float(sizes.sum() / tokens.sum()), float(low), float(high))


def shared_entries(one: Tokenizer, two: Tokenizer) -> tuple[int, int, int]:
    """Count learned entries in both, in the first, and in the second vocabulary."""
    first, second = learned(one), learned(two)
    return len(first & second), len(first), len(second)


def shared_merges(one: Tokenizer, two: Tokenizer) -> tuple[int, int]:
    """Count merges in both, and the length of their common prefix."""
    same = 0
    for left, right in zip(one.merges, two.merges, strict=False):
        if left != right:
            break
        same += 1
    return len(set(one.merges) & set(two.merges)), same


def learned(tokenizer: Tokenizer) -> set[bytes]:
    """Return the entries that merges created."""
    return {left + right for left, right in tokenizer.merges}


def longest(tokenizer: Tokenizer, number: int) -> list[bytes]:
    """Return the longest entries, longest first; ties in the order of the merges."""
    entries = [left + right for left, right in tokenizer.merges]
    return sorted(entries, key=len, reverse=True)[:number]


def length_histogram(tokenizer: Tokenizer, most: int) -> Array:
    """Count learned entries of 2, 3, ... bytes; the last element counts ``most`` bytes or more."""
    lengths = np.array([len(entry) for entry in learned(tokenizer)], dtype=np.int64)
    return np.bincount(np.minimum(lengths, most), minlength=most + 1)[2:]


def split(tokenizer: Tokenizer, text: str) -> tuple[int, str]:
    """Count tokens, and join them with bars; bytes of incomplete characters appear as <e2>."""
    parts = []
    ids = tokenizer.encode(text)
    for index in ids:
        data = tokenizer.token_bytes(index)
        try:
            parts.append(data.decode("utf-8"))
        except UnicodeDecodeError:
            parts.append("".join(f"<{byte:02x}>" for byte in data))
    return len(ids), "|".join(parts)
