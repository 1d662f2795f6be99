"""An obvious BPE trainer, and the texts and words to compare trainers on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from lmlab.tokenizer import (
    merge_learner,
    pretoken_counting,
    reference_training,
)
from lmlab.tokenizer.word_counts import Merge, WordCounts

Learn = Callable[[WordCounts, int], list[Merge] | None]


TEXT = (
    "It's the low lower lowest newest widest story. We'll see 2024 of them, they've said!\n"
    "  The newest low is 1 000 lower…  naïve café — 東京 東京都 😀😀\n\n" * 3
)


def naive_merges(words: Counter[str], count: int) -> list[tuple[bytes, bytes]]:
    """Recount all pairs for every merge; tokens are byte strings."""
    split = {word: [bytes([byte]) for byte in word.encode()] for word in words}
    merges: list[tuple[bytes, bytes]] = []
    while len(merges) < count:
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in split.items():
            merged, rest = [], list(parts)
            while rest:
                if tuple(rest[:2]) == best:
                    merged.append(best[0] + best[1])
                    del rest[:2]
                else:
                    merged.append(rest.pop(0))
            split[word] = merged
    return merges


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8"))
    return path


def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretoken_counting, "load", lambda group: None)
    monkeypatch.setattr(merge_learner, "load", lambda group: None)


def words_of(counts: Counter[str]) -> WordCounts:
    return WordCounts.of((word.encode(), count) for word, count in counts.items())


def both(counts: Counter[str], num_merges: int) -> list[Merge]:
    """The merges of both learners, which must agree."""
    words = words_of(counts)
    found = merge_learner.learn_merges(words, num_merges)
    assert found == reference_training.learn_merges(words, num_merges)
    assert found is not None
    return found


def random_corpus(chance: random.Random) -> Counter[str]:
    """Few letters and small counts, for ties; sometimes words that differ late, or runs."""
    letters = chance.choice(["a", "ab", "abc", "abcdef", "aé東😀"])
    stem = "".join(chance.choices(letters, k=chance.choice([0, 0, 9, 40])))
    words: Counter[str] = Counter()
    for _ in range(chance.randint(0, 14)):
        word = "".join(chance.choices(letters, k=chance.randint(1, chance.choice([1, 3, 8, 25]))))
        words[chance.choice(["", stem]) + word] += chance.randint(1, chance.choice([1, 3, 30]))
    return words
