"""Word shingles of documents as hashes, for many documents at once.

A word is a run of letters, digits and bytes above 127; the case of ASCII letters does not count.
Text without spaces, as in Chinese, has long words.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

WORDS = 5  # of a shingle: Lee et al. 2022 (arXiv:2107.06499), section 4.2
HASH_BITS = 44  # of a shingle; the other bits hold the number of its document
PIECE_BYTES = 1 << 18  # hashed at once, which caches hold
Array = np.ndarray[Any, np.dtype[Any]]

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_STEP = np.uint64(0xC2B2AE3D27D4EB4F)
_LETTERS = np.array([chr(b).isalnum() or b > 127 for b in range(256)])
_LOWER = np.array([ord(chr(b).lower()) if b < 128 else b for b in range(256)], np.uint64)


def shingles_of(text: Array, lengths: Array, gap: int, words: int = WORDS) -> tuple[Array, Array]:
    """Return the distinct shingles of documents in a row.

    A document with fewer words than a shingle has one, of all its words; one without words has
    none.

    Args:
        text: the bytes of all documents, uint8, with ``gap`` bytes after each.
        lengths: bytes of each document.
        gap: bytes between documents, which are not read.
        words: words of a shingle.

    Returns:
        The hash of each shingle, uint64 below 2^44, in order within a document; and the number of
        its document, int64, in the order of documents.
    """
    assert len(lengths) < 1 << (64 - HASH_BITS)
    ends = np.cumsum(lengths + gap) - gap
    is_word = _LETTERS[text]
    for place in range(gap):
        is_word[(ends + place)[ends + place < len(text)]] = False
    hashes, starts = _words(text, is_word)
    documents = np.searchsorted(ends, starts, side="right")
    counts = np.bincount(documents, minlength=len(lengths))
    whole = _joined(hashes, words)
    in_one = documents[: len(whole)] == documents[len(hashes) - len(whole) :]
    found, owners = [whole[in_one]], [documents[: len(whole)][in_one]]
    first = np.cumsum(counts) - counts
    for number in range(1, words):
        short = np.flatnonzero(counts == number)
        places = first[short]
        found.append(_joined_at(hashes, places, number))
        owners.append(short)
    return _distinct(np.concatenate(found), np.concatenate(owners))


def _words(text: Array, is_word: Array) -> tuple[Array, Array]:
    """The hash of each word, and where it begins. Of a very long word, the first part counts."""
    edges = np.flatnonzero(np.diff(is_word, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    powers, inverses = _powers()
    hashes = np.empty(len(starts), np.uint64)
    first = 0
    while first < len(starts):
        place = starts[first]
        last = max(first + 1, int(np.searchsorted(ends, place + PIECE_BYTES, "right")))
        piece = _LOWER[text[place : min(ends[last - 1], place + PIECE_BYTES)]]
        sums = np.zeros(len(piece) + 1, np.uint64)
        np.cumsum(piece * powers[: len(piece)], out=sums[1:])
        begin = starts[first:last] - place
        end = np.minimum(ends[first:last] - place, len(piece))
        # A polynomial of the bytes whose value does not depend on the place of the word.
        hashes[first:last] = _mixed((sums[end] - sums[begin]) * inverses[begin])
        first = last
    return hashes, starts


@functools.cache
def _powers() -> tuple[Array, Array]:
    """The powers of the base modulo 2^64, and their inverses."""
    return _powers_of(_BASE), _powers_of(pow(_BASE, -1, 1 << 64))


def _powers_of(base: int) -> Array:
    factors = np.full(PIECE_BYTES, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _joined(hashes: Array, words: int) -> Array:
    """The hash of ``words`` words from each place."""
    return _joined_at(hashes, np.arange(max(0, len(hashes) - words + 1)), words)


def _joined_at(hashes: Array, places: Array, words: int) -> Array:
    found = np.full(len(places), words, np.uint64)
    for offset in range(words):
        found = found * _STEP + hashes[places + offset]
    return _mixed(found)


def _mixed(values: Array) -> Array:
    """A bijection in which each bit depends on all: Steele et al. 2014, SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _distinct(hashes: Array, owners: Array) -> tuple[Array, Array]:
    """Without repetitions inside a document, in the order of documents.

    Sorting one number for both is several times as fast as ``numpy.unique`` with indices.
    """
    keys = (owners.astype(np.uint64) << np.uint64(HASH_BITS)) | (
        hashes >> np.uint64(64 - HASH_BITS)
    )
    keys.sort()
    keys = keys[np.diff(keys, prepend=~keys[:1]) != 0]
    return keys & np.uint64((1 << HASH_BITS) - 1), (keys >> np.uint64(HASH_BITS)).astype(np.int64)
