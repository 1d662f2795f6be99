"""Ids equal those of tiktoken and Hugging Face's tokenizers for a trained vocabulary."""

from __future__ import annotations

import functools
import random
import sys
import tempfile
from pathlib import Path

import pytest
import tiktoken
import tokenizers
from tokenizers import models, pre_tokenizers

from lmlab.tokenizer import Tokenizer, train_bpe
from lmlab.tokenizer.fast_encoder import FastEncoder
from lmlab.tokenizer.formats.byte_alphabet import byte_characters

END, PAIR, PREFIX = "<|endoftext|>", "<|endoftext|><|endoftext|>", "<|end"
SPACES = [chr(code) for code in (9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x3000)]
ADVERSARIAL = [
    "don't I'll we've 'S 'LL ''s 's's x'",
    "line\r\nline\r\n\r\n\rline\n\r",
    "nul\x00nul \x00 \x00\x00",
    "zero\u200bwidth\u200djoin\u200c \u200d\ufeff",
    "e\u0301a\u0308\u0323 \u0301 x\u0301\u0301'\u0301s",
    "مرحبا بالعالم ١٢٣ שלום עולם\u200f (\u202b) \u0661",
    "👨‍👩‍👧‍👦👩🏽‍🚀🏳️‍🌈 ☝🏿☺️ 🇩🇪🇫🇷",
    "½ ² Ⅳ ٣ 𝟘𝟙 ①②③",
    "一二三 東京都。カタカナ、ひらがな 한국어",
    "".join(f"a{first}{second}b" for first in SPACES for second in SPACES),
    *(f"x{space}{space}" for space in SPACES),
    *(f"{space}{space}x" for space in SPACES),
    "a" * 3000 + " " * 3000 + "1" * 3000 + "'" * 3000,
]
SPECIAL = [
    END, END + END, END * 3, f"a{END}b", f" {END} ", f"\n\n{END}\n\n", f"  {PREFIX}  ",
    f"{PREFIX}oftext|>", f"{PREFIX}{END}{PREFIX}", f"'{END}s", f"x{END * 5}x", END[:-1], END[1:],
]  # fmt: skip


@functools.cache
def plain() -> Tokenizer:
    words = [
        "the",
        "low",
        "lower",
        "don't",
        "we'll",
        "naïve",
        "東京",
        "مرحبا",
        "2024",
        "1 000",
        "...",
    ]
    chance = random.Random(1)
    text = "".join(
        chance.choice([" ", " ", "\n", "  ", ""]) + chance.choice(words) for _ in range(9999)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_bytes(text.encode())
        learned = train_bpe(path, 380, [])
    return Tokenizer(learned.vocab, learned.merges)


def kernels_of(tokenizer: Tokenizer) -> FastEncoder:
    found = tokenizer.encoder.fast(1 << 30)
    assert found is not None
    return found


def tiktoken_of(tokenizer: Tokenizer) -> tiktoken.Encoding:
    ids = {value: index for index, value in tokenizer.vocab.items()}
    specials = {token: ids[token.encode()] for token in tokenizer.special_tokens}
    ranks = {value: index for value, index in ids.items() if index not in specials.values()}
    return tiktoken.Encoding(
        "ours", pat_str=tokenizer.pattern, mergeable_ranks=ranks, special_tokens=specials
    )


def hugging_face_of(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    printable = byte_characters()

    def as_text(value: bytes) -> str:
        return "".join(printable[byte] for byte in value)

    vocab = {as_text(value): index for index, value in tokenizer.vocab.items()}
    merges = [(as_text(left), as_text(right)) for left, right in tokenizer.merges]
    found = tokenizers.Tokenizer(models.BPE(vocab, merges))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return found


def every_code_point(template: str, step: int = 1) -> str:
    codes = (code for code in range(0, sys.maxunicode + 1, step) if not 0xD800 <= code < 0xE000)
    return "".join(template.format(chr(code)) for code in codes)


@pytest.mark.slow
@pytest.mark.parametrize("template", ["a{}b", "1{}\n", "  {}'s"])
def test_every_code_point_is_encoded_as_by_tiktoken(template: str) -> None:
    text = every_code_point(template)
    assert kernels_of(plain()).encode_array(text).tolist() == tiktoken_of(plain()).encode_ordinary(
        text
    )


@pytest.mark.slow
@pytest.mark.parametrize("template", ["a{}b", " {} "])
def test_code_points_are_encoded_as_by_hugging_face(template: str) -> None:
    text = every_code_point(template, step=7)
    assert (
        kernels_of(plain()).encode_array(text).tolist() == hugging_face_of(plain()).encode(text).ids
    )


@pytest.mark.parametrize("text", ADVERSARIAL, ids=lambda text: ascii(text[:12]))
def test_adversarial_text_is_encoded_as_by_both(text: str) -> None:
    found = kernels_of(plain()).encode_array(text).tolist()
    assert found == tiktoken_of(plain()).encode_ordinary(text)
    assert found == hugging_face_of(plain()).encode(text).ids
    assert found == plain().encoder.reference.encode(text)


@pytest.mark.parametrize("text", SPECIAL)
def test_special_tokens_are_encoded_as_by_tiktoken(text: str) -> None:
    one = Tokenizer(plain().vocab, plain().merges, [END])
    found = kernels_of(one).encode_array(text).tolist()
    assert found == tiktoken_of(one).encode(text, allowed_special="all")


@pytest.mark.parametrize("text", SPECIAL)
def test_nested_special_tokens_match_leftmost_longest(text: str) -> None:
    # tiktoken matches leftmost, but not longest: compare with a slow search instead.
    nested = Tokenizer(plain().vocab, plain().merges, [END, PAIR, PREFIX])
    ids = {value: index for index, value in nested.vocab.items()}
    expected: list[int] = []
    rest, pending = text, ""
    while rest:
        fitting = [token for token in (PAIR, END, PREFIX) if rest.startswith(token)]
        if fitting:
            expected += [*plain().encoder.reference.encode(pending), ids[fitting[0].encode()]]
            rest, pending = rest[len(fitting[0]) :], ""
        else:
            pending, rest = pending + rest[0], rest[1:]
    expected += plain().encoder.reference.encode(pending)
    quick = kernels_of(nested)
    assert quick.encode_array(text).tolist() == expected
    for cut in range(len(text) + 1):
        parts = [text[:cut], text[cut:]]
        found = [index for ids in quick.encode_blocks(parts, block=1) for index in ids.tolist()]
        assert found == expected
