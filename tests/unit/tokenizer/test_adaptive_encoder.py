"""Encoding moves from Python to the kernels without changing ids."""

from __future__ import annotations

import random

import pytest
from random_merges import END, WORDS, trained

from lmlab.tokenizer import Tokenizer, adaptive_encoder, pretokenize


def test_a_stream_switches_to_the_kernels_without_changing_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adaptive_encoder, "_WORTH_IN_STREAM", 20_000)
    monkeypatch.setattr(pretokenize, "_BLOCK", 1000)
    chance = random.Random(2)
    for _ in range(20):
        text = "".join(chance.choices(WORDS, k=20_000))
        fresh = Tokenizer(trained().vocab, trained().merges, trained().special_tokens)
        parts = (text[start : start + 777] for start in range(0, len(text), 777))
        assert list(fresh.encode_iterable(parts)) == trained().encoder.reference.encode(text)
        assert fresh.encoder.loaded is not None


def test_unsupported_patterns_are_encoded_in_python() -> None:
    other = Tokenizer(trained().vocab, trained().merges, [END], pattern=r"\w+|\W")
    assert other.encoder.fast(1 << 30) is None
    text = "the low, lower " * 30_000
    assert (
        other.encode_array(text).tolist()
        == other.encode(text)
        == other.encoder.reference.encode(text)
    )
