"""Counting the pre-tokens of files with compiled kernels, in several threads.

Text of any size passes through a few buffers: each thread reads the next part, up to a position
where text may be cut, and counts its words with a counter per thread. Sums do not depend on which
thread counted what, so neither the number of threads nor the size of the parts changes the result.
Memory grows only with the number of distinct words.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lmlab.console.progress_bar import progress
from lmlab.errors import DataError
from lmlab.records.documents import Documents
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.runtime.processor import usable_cores
from lmlab.tokenizer.buffers import PADDING, Memory, address
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.kinds import KINDS
from lmlab.tokenizer.kernels.library import Kernel, load
from lmlab.tokenizer.kernels.specials import pack
from lmlab.tokenizer.text_parts import (
    PART_BYTES,
    Part,
    TextParts,
    malformed_part,
    marker_among,
)
from lmlab.tokenizer.utf8 import to_utf8
from lmlab.tokenizer.word_counter import WordCounter
from lmlab.tokenizer.word_counts import WordCounts

_MAX_THREADS = 8


def count_words(
    text: Text | Sequence[Path],
    special_tokens: Sequence[str],
    pattern: str,
    *,
    threads: int | None = None,
    part_bytes: int = PART_BYTES,
    text_hash: TextHash | None = None,
) -> WordCounts | None:
    """Count the pre-tokens of a text; none spans two documents or files.

    Args:
        text: what is counted, or its files.
        special_tokens: strings that are cut out of plain text; in records they are text.
        pattern: regular expression of the pre-tokens.
        threads: number of threads; None for one per usable core, at most eight.
        part_bytes: bytes that a thread reads at a time; more where the text cannot be cut.
        text_hash: receives the text that is counted.

    Returns:
        The words of two bytes or more; None without kernels for this machine and pattern.

    Raises:
        DataError: a file is not UTF-8.
    """
    kernels = load("counting") if pattern in KINDS else None
    if kernels is None:
        return None
    specials = sorted(map(to_utf8, special_tokens), key=len, reverse=True)
    text = Text.of(text)
    total = text.size()
    if threads is None:
        threads = min(usable_cores(), _MAX_THREADS, 1 + total // part_bytes)
    with progress(total=total, desc="counting words", unit="B", unit_scale=True) as bar:
        job = _Job(kernels, text, specials, KINDS[pattern], part_bytes, bar.update, text_hash)
        counters = [_PartCounter(job) for _ in range(threads)]
        if threads == 1:
            job.count_into(counters[0])
        else:
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                jobs = [pool.submit(job.count_into, counter) for counter in counters]
                try:
                    for one in concurrent.futures.as_completed(jobs):
                        one.result()
                finally:
                    job.stop()  # the other threads end after their current part
                    concurrent.futures.wait(jobs)
                    job.parts.close()
    job.check()
    first, *others = [counter for one in counters for counter in one.counters]
    for other in others:
        first.absorb(other)
    return first.words()


class _Job:
    """What the threads share: the text, and the first error in it."""

    def __init__(
        self,
        kernels: Mapping[str, Kernel],
        text: Text,
        specials: Sequence[bytes],
        kind: int,
        part_bytes: int,
        advance: Callable[[int], object],
        text_hash: TextHash | None,
    ) -> None:
        self.kernels, self.text, self.specials, self.kind = kernels, text, specials, kind
        self.marker = marker_among(specials)
        numbers, packed = pack(specials)

        def cut(buffer: Memory, size: int) -> int:
            fixed = map(address, (class_table(), numbers, packed))
            return int(kernels["cut"](address(buffer), size, *fixed))

        self.parts = TextParts(text, self.marker, cut, text_hash, part_bytes)
        self._advance = advance
        self._lock = threading.Lock()
        self._errors: list[tuple[int, int, DataError]] = []
        self._stopped = False

    def stop(self) -> None:
        """Read no more parts."""
        self._stopped = True

    def count_into(self, counter: _PartCounter) -> None:
        """Count parts until none is left."""
        buffer = self.parts.buffer()
        while not self._stopped:
            with self._lock:
                part, buffer = self.parts.read(buffer)
                if part is None:
                    return
                self._advance(part.disk_bytes)
            try:
                counter.count(part, buffer)
            except DataError as error:
                with self._lock:  # check() reports the first in the text
                    self._errors.append((part.file, part.place, error))
                self.stop()

    def check(self) -> None:
        """Raise the first :class:`DataError`, if there was one."""
        if self._errors:
            raise min(self._errors, key=lambda one: one[:2])[2]


class _PartCounter:
    """The counters of one thread: of text with special tokens, and of text without."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._marked = WordCounter(job.kernels, pack(job.specials), job.kind)
        self._plain: WordCounter | None = None
        self._copy = Memory(0)

    @property
    def counters(self) -> list[WordCounter]:
        """Those that have counted."""
        return [self._marked, *([] if self._plain is None else [self._plain])]

    def count(self, part: Part, buffer: Memory) -> None:
        """Count a part. Raises :class:`DataError` if it is not UTF-8."""
        found = part.documents
        if part.is_plain:
            self._count_plain(part, buffer, part.size)
        elif found is None or found.is_marked or not self._spells_specials(found):
            malformed = self._marked.count(buffer, part.size)
            if malformed is not None:
                raise malformed_part(self._job.text, part, malformed)
        else:
            for text in found.pieces(self._job.marker):
                if len(self._copy) < len(text) + PADDING:
                    self._copy = Memory(2 * len(text) + PADDING)
                self._copy.view[: len(text)] = text
                self._count_plain(part, self._copy, len(text))

    def _spells_specials(self, found: Documents) -> bool:
        """Whether words are not to be cut where the kernels would cut them."""
        marker, text = self._job.marker, bytes(found.text)
        if not marker or text.count(marker) != found.num_documents:
            return True
        return any(special in text for special in self._job.specials if special != marker)

    def _count_plain(self, part: Part, buffer: Memory, size: int) -> None:
        if self._plain is None:
            self._plain = WordCounter(self._job.kernels, pack([]), self._job.kind)
        malformed = self._plain.count(buffer, size)
        if malformed is not None:
            raise malformed_part(self._job.text, part, malformed)
