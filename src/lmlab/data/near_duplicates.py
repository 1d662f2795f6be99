"""Held-out documents of which a near duplicate stands in the training text.

Documents are near duplicates if the Jaccard similarity of their word shingles reaches a threshold.
Only held-out documents are kept, and the training text is read past them. Most training documents
are passed over by a bound: as a document A that is near B shares at least the threshold of its own
shingles with B, it shares as many with all held-out documents together. Of the others, MinHash and
LSH by datasketch find candidates (Broder 1997; Indyk and Motwani 1998), and each candidate is
compared exactly, so that none is counted wrongly; one at the threshold is missed in less than 1 %
of cases.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.console.formatting import format_bytes
from lmlab.console.progress_bar import progress
from lmlab.data.shingles import WORDS, Array, shingles_of
from lmlab.data.text_survey import Survey, described
from lmlab.errors import ConfigError
from lmlab.records.documents import Documents, joined
from lmlab.records.plain_documents import END_OF_TEXT
from lmlab.records.text import Text
from lmlab.storage.file_memo import remembered
from lmlab.storage.io import hash_json

KEY = "data.near_duplicates"
MOST_HELD_OUT_BYTES = 1 << 28  # whose index takes about 1 GB
_VERSION = 1
_PERMUTATIONS = 128
_MISSED = 0.01
_ROUNDING = 1e-9


def check_near_duplicates(threshold: float | None) -> None:
    """Check the setting.

    Raises:
        ConfigError: it is out of range, or the package is not installed.
    """
    if threshold is None:
        return
    if not 0.1 <= threshold <= 1:
        raise ConfigError(f"{KEY}={threshold}: expected a similarity from 0.1 to 1, or null")
    if importlib.util.find_spec("datasketch") is None:
        raise ConfigError(
            f"{KEY}={threshold}: the package datasketch is not installed",
            f"run pip install 'lmlab[near-duplicates]', or set {KEY}=null",
        )


def near_duplicates_line(
    train: Text, valid: Text, found: tuple[Survey, Survey], threshold: float, cache_dir: Path
) -> tuple[int, str]:
    """Count near duplicates, unless the number is known, and say it.

    Args:
        train: the training text.
        valid: the held-out text.
        found: their surveys.
        threshold: see :func:`count_near_duplicates`.
        cache_dir: the cache folder, which keeps the number.

    Returns:
        How many held-out documents have a near duplicate, and this in words.

    Raises:
        ConfigError: the held-out text is too large.
    """
    named = f"{KEY}={threshold}"
    for text, one in zip((train, valid), found, strict=True):
        if not text.has_documents() and not one.num_markers:
            return 0, f"{named}: not searched, as no boundary of a document is known in {text.key}"
    held_out = found[1]
    if held_out.num_bytes > MOST_HELD_OUT_BYTES:
        raise ConfigError(
            f"{named}: expected at most {format_bytes(MOST_HELD_OUT_BYTES)} of held-out text, "
            f"found {format_bytes(held_out.num_bytes)}",
            f"lower data.valid_fraction, or set {KEY}=null",
        )
    number = remembered_near_duplicates(train, valid, threshold, cache_dir)
    share = 100 * number / max(1, held_out.num_documents)
    return number, (
        f"{named}: {number:,} of {held_out.num_documents:,} held-out documents ({share:.2g} %) "
        f"have a near duplicate in the training text (shingles of {WORDS} words with a Jaccard "
        f"similarity of {threshold:g} or more)"
    )


def remembered_near_duplicates(train: Text, valid: Text, threshold: float, cache_dir: Path) -> int:
    """Return :func:`count_near_duplicates`, counted once for each state of the files.

    It is kept beside the surveys of the texts.
    """
    rules = [_VERSION, WORDS, threshold, described(train), described(valid)]
    memo = cache_dir / "texts" / f"near-{hash_json(rules)[:24]}.json"
    files = sorted({*train.paths, *valid.paths})
    return int(
        remembered(memo, files, lambda: {"number": count_near_duplicates(train, valid, threshold)})[
            "number"
        ]
    )


def count_near_duplicates(train: Text, valid: Text, threshold: float) -> int:
    """Count the held-out documents that have a near duplicate in the training text.

    Exact duplicates count too. Documents without words do not.

    Args:
        train: the training text, whose documents are not kept.
        valid: the held-out text.
        threshold: least Jaccard similarity, from 0 to 1.

    Raises:
        DataError: a text cannot be read.
        TextChangedError: a file changed while it was read.
    """
    index = _HeldOut(threshold)
    for hashes in _documents(valid, "reading held-out text", lambda found: found.counts > 0):
        index.add(hashes)
    index.finish()
    number = 0
    for hashes in _documents(train, "comparing documents", index.may_be_near):
        number += index.remove_near(hashes)
    return number


class _HeldOut:
    """The held-out documents, and which of them are near another one."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._shingles: list[Array] = []
        self._is_member = np.zeros(0, bool)
        self._signature, self._lsh = _datasketch(threshold)

    def add(self, hashes: Array) -> None:
        """Add a document by its shingles."""
        self._lsh.insert(len(self._shingles), self._signature(hashes))
        self._shingles.append(hashes)

    def finish(self) -> None:
        """All documents are there."""
        total = sum(map(len, self._shingles))
        self._is_member = np.zeros(1 << max(10, (4 * total).bit_length()), bool)
        for hashes in self._shingles:
            self._is_member[self._places(hashes)] = True

    def _places(self, hashes: Array) -> Array:
        return (hashes & np.uint64(len(self._is_member) - 1)).astype(np.int64)

    def may_be_near(self, found: _Shingled) -> Array:
        """Which documents of a block share enough of their shingles with the held-out ones."""
        hits = np.bincount(
            found.documents, self._is_member[self._places(found.hashes)], found.num_documents
        )
        return (found.counts > 0) & (hits >= self.threshold * found.counts - _ROUNDING)

    def remove_near(self, hashes: Array) -> int:
        """Remove the held-out documents that are near a document, and return how many these are."""
        removed = 0
        for number in self._lsh.query(self._signature(hashes)):
            held_out = self._shingles[number]
            common = len(np.intersect1d(held_out, hashes, assume_unique=True))
            if common >= self.threshold * (len(held_out) + len(hashes) - common) - _ROUNDING:
                self._lsh.remove(number)
                removed += 1
        return removed


class _Shingled:
    """The shingles of a block of documents."""

    def __init__(self, block: Documents) -> None:
        lengths = np.asarray(block.lengths(), np.int64)
        text = np.frombuffer(block.text, np.uint8)
        self.hashes, self.documents = shingles_of(text, lengths, len(END_OF_TEXT))
        self.num_documents = len(lengths)
        self.counts = np.bincount(self.documents, minlength=len(lengths))
        self._ends = np.cumsum(self.counts)

    def of(self, document: int) -> Array:
        """The shingles of one document."""
        end = self._ends[document]
        return self.hashes[end - self.counts[document] : end]


def _documents(text: Text, doing: str, choose: Callable[[_Shingled], Array]) -> Iterator[Array]:
    """Yield the shingles of the documents of a text that ``choose`` chooses."""
    with progress(total=text.size(), desc=doing, unit="B", unit_scale=True) as bar:
        for block, disk_bytes in _blocks(text):
            if block.num_documents:
                found = _Shingled(block)
                for document in np.flatnonzero(choose(found)):
                    yield found.of(int(document))
            bar.update(disk_bytes)


def _blocks(text: Text) -> Iterator[tuple[Documents, int]]:
    """Yield the documents of a text in blocks, and how many bytes of files each takes."""
    for file in text.files:
        state = text.state(file)
        if text.is_one_document(file):
            whole = b"".join(text.stream(file).pieces())
            yield joined([whole] if whole else [], END_OF_TEXT, 1), file.path.stat().st_size
        else:
            place = 0
            for rows in text.read_documents(file, END_OF_TEXT):
                yield rows.read(), max(0, rows.disk_bytes - place)
                place = max(place, rows.disk_bytes)
        text.check_unchanged(file, state)


def bands_of(threshold: float) -> tuple[int, int]:
    """Return bands and rows of LSH: most rows with which few documents at the threshold are missed.

    One is missed if no band of r rows is equal: (1 - t^r)^b (Leskovec et al. 2020, section 3.4.2).
    """
    fits = [
        (_PERMUTATIONS // rows, rows)
        for rows in range(1, _PERMUTATIONS // 2 + 1)  # datasketch wants two bands or more
        if (1 - threshold**rows) ** (_PERMUTATIONS // rows) <= _MISSED
    ]
    return max(fits, key=lambda pair: pair[1], default=(_PERMUTATIONS, 1))


def _datasketch(threshold: float) -> tuple[Callable[[Array], Any], Any]:
    """What makes a signature of shingles, and an empty index."""
    from datasketch import MinHash, MinHashLSH

    empty = MinHash(num_perm=_PERMUTATIONS, hashfunc=int, scheme="affine32")

    def signature(hashes: Array) -> Any:
        made = empty.copy()
        made.update_batch(hashes.astype(np.uint32).tolist())
        return made

    return signature, MinHashLSH(num_perm=_PERMUTATIONS, params=bands_of(threshold))
