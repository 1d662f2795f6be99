"""Counting words and learning merges in pure Python: reference and fallback of the kernels."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from lmlab.console.progress_bar import progress
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.tokenizer.pretokenize import PreTokenizer
from lmlab.tokenizer.text_parts import TextParts, marker_among
from lmlab.tokenizer.text_runs import TextRuns
from lmlab.tokenizer.utf8 import to_utf8
from lmlab.tokenizer.word_counts import Merge, WordCounts


def count_words(
    text: Text | Sequence[Path],
    special_tokens: Sequence[str],
    pattern: str,
    text_hash: TextHash | None = None,
) -> WordCounts:
    """Count the pre-tokens of a text; none spans two documents or files.

    Args:
        text: what is counted, or its files.
        special_tokens: strings that are cut out of plain text; in records they are text.
        pattern: regular expression of the pre-tokens.
        text_hash: receives the text that is counted.

    Raises:
        DataError: a file is not UTF-8.
    """
    marked, plain = PreTokenizer(pattern, special_tokens), PreTokenizer(pattern, [])
    counts: Counter[str] = Counter()
    text = Text.of(text)
    marker = marker_among(list(map(to_utf8, special_tokens)))
    runs = TextRuns(TextParts(text, marker, None, text_hash), marker)
    with progress(total=text.size(), desc="counting words", unit="B", unit_scale=True) as bar:
        read = 0
        for run in runs:
            pretokenizer = plain if run.is_plain else marked
            for pretokens, _ in pretokenizer.split_stream(run.strings):
                counts.update(pretokens)
            bar.update(runs.disk_bytes - read)
            read = runs.disk_bytes
    return WordCounts.of((word.encode("utf-8"), count) for word, count in counts.items())


def learn_merges(words: Iterable[tuple[bytes, int]], num_merges: int) -> list[Merge]:
    """Return up to ``num_merges`` merges; fewer once every word is a single token."""
    learner = _Learner(words)
    merges = []
    for _ in progress(range(num_merges), desc="learning merges", unit="merge"):
        merge = learner.merge_best()
        if merge is None:
            break
        merges.append(merge)
    return merges


class _Learner:
    """Words as lists of tokens, with the count of each pair and the words that contain it.

    Heap entries may be outdated: a pair whose count fell is pushed again when it surfaces, and one
    whose count rose was pushed again then. So the first up-to-date entry is the best pair.
    """

    def __init__(self, words: Iterable[tuple[bytes, int]]) -> None:
        self.entries = [bytes([byte]) for byte in range(256)]
        self.descending = [_descending(entry) for entry in self.entries]
        counted = list(words)
        self.words = [list(word) for word, _ in counted]
        self.weights = [count for _, count in counted]
        self.pairs: Counter[tuple[int, int]] = Counter()
        self.words_with: dict[tuple[int, int], set[int]] = {}
        for index, word in enumerate(self.words):
            for pair in itertools.pairwise(word):
                self.pairs[pair] += self.weights[index]
                self.words_with.setdefault(pair, set()).add(index)
        self.heap = [self._candidate(pair) for pair in self.pairs]
        heapq.heapify(self.heap)

    def merge_best(self) -> tuple[bytes, bytes] | None:
        """Merge the best pair in all words; None if no pair is left."""
        while self.heap:
            count, _, _, pair = heapq.heappop(self.heap)
            current = self.pairs.get(pair, 0)
            if current == -count:
                break
            if current > 0:
                heapq.heappush(self.heap, self._candidate(pair))
        else:
            return None
        left, right = (self.entries[part] for part in pair)
        # No two merges have the same result: see lmlab.tokenizer.kernels.merges.
        self.entries.append(left + right)
        self.descending.append(_descending(left + right))
        self._merge_in_words(pair, len(self.entries) - 1)
        return left, right

    def _candidate(
        self, pair: tuple[int, int]
    ) -> tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, int]]:
        left, right = pair
        return -self.pairs[pair], self.descending[left], self.descending[right], pair

    def _merge_in_words(self, pair: tuple[int, int], merged: int) -> None:
        new_pairs: set[tuple[int, int]] = set()
        for index in self.words_with.pop(pair):
            old = self.words[index]
            new = _replace(old, pair, merged)
            self.words[index] = new
            weight = self.weights[index]
            for before in itertools.pairwise(old):
                self.pairs[before] -= weight
            for after in itertools.pairwise(new):
                self.pairs[after] += weight
                if merged in after:
                    self.words_with.setdefault(after, set()).add(index)
                    new_pairs.add(after)
        self.pairs.pop(pair, None)
        for new_pair in new_pairs:
            heapq.heappush(self.heap, self._candidate(new_pair))


def _replace(word: list[int], pair: tuple[int, int], merged: int) -> list[int]:
    """Replace each occurrence of ``pair``, from left to right, by ``merged``."""
    left, right = pair
    new, index, last = [], 0, len(word) - 1
    while index <= last:
        if index < last and word[index] == left and word[index + 1] == right:
            new.append(merged)
            index += 2
        else:
            new.append(word[index])
            index += 1
    return new


def _descending(entry: bytes) -> tuple[int, ...]:
    """A key that sorts byte strings in descending order; a prefix comes after its extensions."""
    return (*(255 - byte for byte in entry), 256)
