"""Learning a vocabulary: count pre-tokens, then merge the most frequent pair again and again."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lmlab.errors import ConfigError, DataError
from lmlab.io import progress
from lmlab.tokenizer.pretokenize import GPT2_PATTERN, PreTokenizer
from lmlab.tokenizer.tokenizer import Tokenizer

_CHUNK_CHARACTERS = 1 << 20


def train_bpe(
    paths: Iterable[str | Path] | str | Path, vocab_size: int, special_tokens: Sequence[str]
) -> Tokenizer:
    """Learn a byte-level BPE vocabulary from UTF-8 text files.

    Sennrich et al. 2016, algorithm 1, on bytes. The most frequent pair within pre-tokens is merged
    first; among equally frequent ones, the lexicographically greater pair of byte strings. Ids
    0 to 255 are the bytes, then come the merges in order, the special tokens last.

    Args:
        paths: the training text, a file or several.
        vocab_size: entries in all, at least 256 and the special tokens.
        special_tokens: strings that are cut out of the text and get an id each.

    Raises:
        ConfigError: ``vocab_size`` is too small, or special tokens are empty or doubled.
        DataError: the text is not UTF-8, or too small for so large a vocabulary.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    num_merges = vocab_size - 256 - len(special_tokens)
    if num_merges < 0:
        raise ConfigError(
            f"tokenizer.vocab_size={vocab_size}: accepted is {256 + len(special_tokens)} or more: "
            f"256 bytes and {len(special_tokens)} special tokens"
        )
    if "" in special_tokens or len(set(special_tokens)) < len(special_tokens):
        raise ConfigError(
            f"tokenizer.special_tokens={list(special_tokens)}: accepted are different, non-empty "
            "strings"
        )
    counts = count_pretokens([Path(path) for path in paths], special_tokens)
    merges = learn_merges(counts, num_merges)
    if len(merges) < num_merges:
        largest = 256 + len(merges) + len(special_tokens)
        raise DataError(
            f"tokenizer.vocab_size={vocab_size}: this text has no more pairs to merge after "
            f"{largest} entries; set model.vocab_size={largest} or less, or give more text"
        )
    entries = [bytes([byte]) for byte in range(256)]
    entries += [left + right for left, right in merges]
    entries += [token.encode("utf-8") for token in special_tokens]
    return Tokenizer(dict(enumerate(entries)), merges, special_tokens)


def count_pretokens(paths: Sequence[Path], special_tokens: Sequence[str]) -> Counter[str]:
    """Count the pre-tokens of all files; each file begins anew."""
    pretokenizer = PreTokenizer(GPT2_PATTERN, special_tokens)
    counts: Counter[str] = Counter()
    total = sum(path.stat().st_size for path in paths)
    with progress(total=total, desc="counting words", unit="B", unit_scale=True) as bar:
        for path in paths:
            for pretokens, _ in pretokenizer.split_stream(_read(path, bar.update)):
                counts.update(pretokens)
    return counts


def _read(path: Path, advance: object) -> Iterator[str]:
    assert callable(advance)
    with open(path, encoding="utf-8", newline="") as file:
        try:
            while text := file.read(_CHUNK_CHARACTERS):
                advance(len(text))
                yield text
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text: {error.reason}") from error


def learn_merges(counts: Counter[str], num_merges: int) -> list[tuple[bytes, bytes]]:
    """Return up to ``num_merges`` merges; fewer where every pre-token became one token."""
    learner = _Learner(counts)
    merges = []
    for _ in progress(range(num_merges), desc="learning merges", unit="merge"):
        merge = learner.merge_best()
        if merge is None:
            break
        merges.append(merge)
    return merges


class _Learner:
    """Words as token lists, with the count of each pair and the words that hold it.

    The heap's entries may be out of date: a pair whose count fell is put back when it surfaces,
    and one whose count rose was pushed again then, so that the first up-to-date entry is the best.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self.entries = [bytes([byte]) for byte in range(256)]
        self.tokens = {entry: token for token, entry in enumerate(self.entries)}
        self.descending = [_descending(entry) for entry in self.entries]
        self.words = [list(pretoken.encode("utf-8")) for pretoken in counts]
        self.weights = list(counts.values())
        self.pairs: Counter[tuple[int, int]] = Counter()
        self.holders: dict[tuple[int, int], set[int]] = {}
        for index, word in enumerate(self.words):
            for pair in itertools.pairwise(word):
                self.pairs[pair] += self.weights[index]
                self.holders.setdefault(pair, set()).add(index)
        self.heap = [self._candidate(pair) for pair in self.pairs]
        heapq.heapify(self.heap)

    def merge_best(self) -> tuple[bytes, bytes] | None:
        """Merge the best pair in all words; None where no pair is left."""
        while self.heap:
            count, _, _, pair = heapq.heappop(self.heap)
            now = self.pairs.get(pair, 0)
            if now == -count:
                break
            if now > 0:
                heapq.heappush(self.heap, self._candidate(pair))
        else:
            return None
        left, right = (self.entries[part] for part in pair)
        self._merge_in_words(pair, self._token(left + right))
        return left, right

    def _token(self, entry: bytes) -> int:
        """The token of a byte string: two merges with one result make one token, not two."""
        token = self.tokens.setdefault(entry, len(self.entries))
        if token == len(self.entries):
            self.entries.append(entry)
            self.descending.append(_descending(entry))
        return token

    def _candidate(
        self, pair: tuple[int, int]
    ) -> tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, int]]:
        left, right = pair
        return -self.pairs[pair], self.descending[left], self.descending[right], pair

    def _merge_in_words(self, pair: tuple[int, int], merged: int) -> None:
        grown: set[tuple[int, int]] = set()
        for index in self.holders.pop(pair):
            old = self.words[index]
            new = _replace(old, pair, merged)
            self.words[index] = new
            weight = self.weights[index]
            for before in itertools.pairwise(old):
                self.pairs[before] -= weight
            for after in itertools.pairwise(new):
                self.pairs[after] += weight
                if merged in after:
                    self.holders.setdefault(after, set()).add(index)
                    grown.add(after)
        self.pairs.pop(pair, None)
        for fresh in grown:
            heapq.heappush(self.heap, self._candidate(fresh))


def _replace(word: list[int], pair: tuple[int, int], merged: int) -> list[int]:
    """Replace each ``pair``, from left to right, by ``merged``."""
    left, right = pair
    new, place, last = [], 0, len(word) - 1
    while place <= last:
        if place < last and word[place] == left and word[place + 1] == right:
            new.append(merged)
            place += 2
        else:
            new.append(word[place])
            place += 1
    return new


def _descending(entry: bytes) -> tuple[int, ...]:
    """A key that orders byte strings the other way round; a prefix comes after its extensions."""
    return (*(255 - byte for byte in entry), 256)
