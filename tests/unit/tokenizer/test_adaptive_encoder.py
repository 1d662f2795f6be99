"""Encoding moves from Python to the kernels without changing ids."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import random
from collections.abc import Callable

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


@pytest.mark.parametrize(
    "duplicate", [lambda value: pickle.loads(pickle.dumps(value)), copy.copy, copy.deepcopy]
)
def test_an_encoder_that_has_used_kernels_can_be_pickled_and_copied(
    duplicate: Callable[[Tokenizer], Tokenizer],
) -> None:
    tokenizer = Tokenizer(trained().vocab, trained().merges, trained().special_tokens)
    text = "the low, lower" + END + "newest widest \u6771\u4eac\r\n"
    expected = tokenizer.encoder.reference.encode(text)
    assert tokenizer.encoder.fast(1 << 30) is not None
    assert tokenizer.encode(text) == expected
    again = duplicate(tokenizer)
    for uses_kernels in (False, True):  # the copy starts in Python and moves to the kernels
        if uses_kernels:
            assert again.encoder.fast(1 << 30) is not None
        assert again.encode(text) == expected
        assert list(again.encode_iterable(iter(text))) == expected
    assert again.hash == tokenizer.hash
    assert copy.deepcopy(tokenizer.encoder).encode(text) == expected


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_an_encoder_that_has_used_kernels_works_in_other_processes(method: str) -> None:
    """As the workers of a data loader do: each has its own copy, and the parent's still works."""
    tokenizer = Tokenizer(trained().vocab, trained().merges, trained().special_tokens)
    documents = [f"the low, lower {number} newest{END}widest" * 50 for number in range(20)]
    assert tokenizer.encoder.fast(1 << 30) is not None
    expected = [tokenizer.encode(text) for text in documents]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(tokenizer.encode, documents) == expected
    assert [tokenizer.encode(text) for text in documents] == expected
