"""Counting with kernels against a ``Counter`` of the words that ``regex`` finds."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import regex

from lmlab.tokenizer.kernels.kinds import GPT2, GPT2_PATTERN
from lmlab.tokenizer.kernels.library import load
from lmlab.tokenizer.kernels.specials import pack
from lmlab.tokenizer.word_counter import WordCounter

END = "<|x|>"
WORDS = ["a", "ab", " ab", "abcdefg", "abcdefgh", "abcdefghijklmno", "abcdefghijklmnop", "é東",
         "!?", " 2024", "x" * 90, END]  # fmt: skip


def counter() -> WordCounter:
    kernels = load("counting")
    assert kernels is not None
    return WordCounter(kernels, pack([END.encode()]), GPT2)


def random_text(seed: int) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choices(WORDS, k=3000))


def count(into: WordCounter, text: str) -> int | None:
    data = text.encode("utf-8", "surrogateescape")
    return into.count(np.frombuffer(data + bytes(64), dtype=np.uint8), len(data))


def expected(*texts: str) -> dict[bytes, int]:
    words: Counter[str] = Counter()
    for text in texts:
        for part in text.split(END):
            words.update(regex.findall(GPT2_PATTERN, part))
    return {word.encode(): number for word, number in words.items() if len(word.encode()) > 1}


def test_words_between_special_tokens_are_counted() -> None:
    words = counter()
    assert count(words, random_text(1)) is None
    assert dict(words.words()) == expected(random_text(1))


def test_counts_of_two_tables_add_up() -> None:
    left, right = counter(), counter()
    count(left, random_text(2))
    count(right, random_text(3) + "only here " * 2)
    left.absorb(right)
    assert dict(left.words()) == expected(random_text(2), random_text(3) + "only here " * 2)


def test_the_first_malformed_byte_is_reported() -> None:
    text = random_text(4)[:500] + "\udce9" + " more \udcff"
    position = text.encode("utf-8", "surrogateescape").index(b"\xe9 more")
    assert count(counter(), text) == position
