"""A tokenizer with random merges, and texts on which many of them apply."""

from __future__ import annotations

import functools
import random

import numpy as np
from hypothesis import strategies as st

from lmlab.tokenizer import Tokenizer, kernel_encoder
from lmlab.tokenizer.buffers import PADDING
from lmlab.tokenizer.fast_encoder import FastEncoder
from lmlab.tokenizer.kernels import kinds

END, PAIR, LONG = "<|endoftext|>", "<|endoftext|><|endoftext|>", "<|end of text|> a b"


WORDS = [
    "a", "b", "the", " the", " low", "lower", "  ", " ", "\n", "\r\n", "\t", "'", "'ll", "'s", "'S",
    "1", "2024", "é", "naïve", "東京", "😀", "\u00a0", "\u3000", "\x00", "\u200b", "e\u0301",
    "مرحبا", ".", "...", "supercalifragilistic", "internationalization" * 4, "ab" * 40, END, PAIR,
    LONG, END[:5], "<|", "|>",
]  # fmt: skip


texts = st.lists(st.sampled_from(WORDS), max_size=40).map("".join) | st.text(max_size=60)


@functools.cache
def trained(pattern: str = kinds.GPT2_PATTERN, extra: int = 0) -> Tokenizer:
    """Random merges: more of them apply to one word than in a learned vocabulary."""
    chance = random.Random(1)
    entries = [bytes([byte]) for byte in range(256)]
    merges: list[tuple[bytes, bytes]] = []
    letters = [b"a", b"b", b"e", b" ", b"t", b"h", b"l", b"i", b"1", b"\xc3", b"\xa9", b"\n"]
    while len(merges) < 500:
        pool = letters + [left + right for left, right in merges]
        pair = chance.choice(pool), chance.choice(pool)
        if pair not in merges and len(pair[0] + pair[1]) < 24:
            merges.append(pair)
    entries += dict.fromkeys(left + right for left, right in merges)
    entries += [b"<%d>" % number for number in range(extra)]
    return Tokenizer(dict(enumerate(entries)), merges, [END, PAIR, LONG], pattern=pattern)


def fast_of(slow: Tokenizer) -> FastEncoder:
    found = slow.encoder.fast(1 << 30)
    assert found is not None
    return found


def encoded(worker: kernel_encoder.Worker, text: str) -> kernel_encoder.Encoded:
    data = text.encode()
    array = np.frombuffer(data + bytes(PADDING), dtype=np.uint8)
    return worker.encode(array, np.array([0, len(data)], dtype=np.int64))
