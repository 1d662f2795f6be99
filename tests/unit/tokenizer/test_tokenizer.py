"""Encoding and decoding, also against tiktoken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from tokenizer_oracle import END, TEXT, texts, trained

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.kernels import kinds


def test_special_tokens_are_never_split_nor_merged_across() -> None:
    tokenizer = trained()
    end = tokenizer.end_of_text_id
    assert end is not None
    assert tokenizer.vocab[end] == END.encode()
    assert tokenizer.encode(END) == [end]
    for text in ("low", " low", "'", "  "):
        around = tokenizer.encode(text)
        assert tokenizer.encode(text + END + text) == [*around, end, *around]
    both = tokenizer.encode("<|end|><|end|>")
    assert [tokenizer.vocab[i] for i in both] == [b"<|end|><|end|>"], "the longest is taken"


def test_without_special_tokens_their_text_is_plain_text() -> None:
    plain = Tokenizer(trained().vocab, trained().merges)
    assert trained().end_of_text_id not in plain.encode("<|endoftex")
    assert plain.end_of_text_id is None


def test_malformed_bytes_decode_to_the_replacement_character() -> None:
    assert trained().decode([255]) == "\ufffd"
    assert trained().decode([0xE6, 0x9D]) == "\ufffd"
    assert trained().decode([]) == ""


@pytest.mark.parametrize("index", [-1, 10_000])
def test_an_id_out_of_range_is_reported_with_the_range(index: int) -> None:
    with pytest.raises(
        DataError, match=rf"token id {index}: expected 0 to {trained().vocab_size - 1}"
    ):
        trained().decode([65, index])


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(DataError, match="surrogate"):
        trained().encode("a\ud800b")
    with pytest.raises(DataError, match="surrogate"):
        list(trained().encode_iterable(["a\ud800", "b"]))


def test_byte_lengths_exclude_special_tokens() -> None:
    lengths = trained().token_byte_lengths
    assert lengths.shape == (trained().vocab_size,)
    for text in (TEXT, "café 東京", END):
        total = int(lengths[trained().encode(text)].sum())
        assert total == len(text.replace(END, "").encode())


NASTY = [
    TEXT, " ", "   ",
    "\n\n  a", "a  b   c", "'ll 'LL don't", "1234 56", "\u3000全角\u3000", "😀 👨‍👩‍👧‍👦",
    "e\u0301 \u200d", "\x00\x01", "ß ﬁ Ǆ ½ ² Ⅳ", "\u00a0\u00a0x", "https://a.b/c?d=e&f",
    "مرحبا שלום",
    "tab\tsep\r\nline", "...!!!???", " '", "''s", "a" * 300, " " * 300 + "x",
]  # fmt: skip


def as_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    specials = {
        token: next(i for i, value in tokenizer.vocab.items() if value == token.encode())
        for token in tokenizer.special_tokens
    }
    ranks = {v: i for i, v in tokenizer.vocab.items() if i not in specials.values()}
    return tiktoken.Encoding(
        "ours", pat_str=tokenizer.pattern, mergeable_ranks=ranks, special_tokens=specials
    )


@settings(max_examples=200, deadline=None)
@given(texts)
def test_tiktoken_gives_the_same_ids_for_a_trained_vocabulary(text: str) -> None:
    theirs = as_tiktoken(Tokenizer(trained().vocab, trained().merges, [END]))
    ours = Tokenizer(trained().vocab, trained().merges, [END])
    assert ours.encode(text) == theirs.encode(text, allowed_special="all")


def test_tiktoken_gives_the_same_ids_for_hard_text() -> None:
    ours = Tokenizer(trained().vocab, trained().merges, [END])
    theirs = as_tiktoken(ours)
    for text in NASTY:
        assert ours.encode(text) == theirs.encode(text, allowed_special="all"), text


def test_gpt2_vocabulary_gives_the_ids_of_tiktoken() -> None:
    folder = os.environ.get("LMLAB_GPT2_DIR")
    if not folder:
        pytest.skip("set LMLAB_GPT2_DIR to a folder with GPT-2's vocab.json and merges.txt")
    ours = Tokenizer.load(folder)
    assert (ours.vocab_size, ours.end_of_text_id) == (50257, 50256)
    # Read the vocabulary independently of lmlab.
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = (byte for byte in range(256) if byte not in plain)
    to_byte = {chr(byte): byte for byte in plain} | {chr(256 + n): b for n, b in enumerate(hidden)}
    entries = json.loads(Path(folder, "vocab.json").read_text("utf-8"))
    specials = {END: entries.pop(END)}
    ranks = {bytes(to_byte[sign] for sign in text): index for text, index in entries.items()}
    theirs = tiktoken.Encoding(
        "gpt2", pat_str=kinds.GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=specials
    )
    for text in NASTY:
        assert ours.encode(text) == theirs.encode(text, allowed_special="all"), text
    # From GPT-2's own encoder.
    assert ours.encode("Hello world") == [15496, 995]
