"""Encoding in Python against an obvious encoder."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_oracle import naive_encode, texts, trained

from lmlab.tokenizer import pretokenize


@settings(max_examples=300, deadline=None)
@given(texts)
def test_encoding_equals_naive_encoding_and_decodes_back(text: str) -> None:
    ids = trained().encode(text)
    assert ids == naive_encode(trained(), text)
    assert trained().decode(ids) == text


@settings(max_examples=300, deadline=None)
@given(texts, st.randoms(use_true_random=False), st.integers(1, 12))
def test_ids_do_not_depend_on_where_a_stream_is_cut(
    text: str, chance: random.Random, block: int
) -> None:
    cuts = sorted(chance.randint(0, len(text)) for _ in range(chance.randint(0, 12)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    former = pretokenize._BLOCK
    pretokenize._BLOCK = block
    try:
        assert list(trained().encode_iterable(parts)) == trained().encode(text)
        assert list(trained().encode_iterable(text)) == trained().encode(text)
    finally:
        pretokenize._BLOCK = former


def test_a_stream_is_read_lazily() -> None:
    read = 0

    def parts() -> Iterator[str]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield "the low story " * 100

    part = "the low story " * 100
    ids = trained().encode_iterable(parts())
    next(ids)
    ahead = pretokenize._BLOCK // len(part) + 2
    assert read <= ahead
    per_part = len(trained().encode(part))
    for count in range(2, 200 * per_part):
        next(ids)
        assert read <= count // per_part + ahead, "at most a block is buffered"
