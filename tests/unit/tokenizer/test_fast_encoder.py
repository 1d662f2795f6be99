"""Encoding by kernels gives the ids of the reference, in every way of calling it."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_merges import WORDS, fast_of, texts, trained

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, fast_encoder
from lmlab.tokenizer.kernels import kinds


@pytest.mark.parametrize("extra", [0, 70_000])
@pytest.mark.parametrize("pattern", [kinds.GPT2_PATTERN, kinds.CL100K_PATTERN])
def test_kernels_give_the_ids_of_the_reference(pattern: str, extra: int) -> None:
    slow = trained(pattern, extra)
    quick = fast_of(slow)
    assert slow.dtype == quick.tables.dtype == ("uint32" if extra else "uint16")

    @settings(max_examples=400, deadline=None)
    @given(texts)
    def check(text: str) -> None:
        found = quick.encode_array(text)
        assert found.tolist() == slow.encoder.reference.encode(text)
        assert found.dtype == slow.dtype
        assert slow.decode(found.tolist()) == text

    check()


@settings(max_examples=200, deadline=None)
@given(texts, st.randoms(use_true_random=False), st.integers(1, 12))
def test_ids_do_not_depend_on_where_a_stream_is_cut(
    text: str, chance: random.Random, block: int
) -> None:
    cuts = sorted(chance.randint(0, len(text)) for _ in range(chance.randint(0, 12)))
    parts = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    found = fast_of(trained()).encode_blocks(parts, block)
    assert list(itertools.chain(*found)) == trained().encoder.reference.encode(text)


STREAM = """
import random, sys, tracemalloc
from lmlab.tokenizer import Tokenizer
slow = Tokenizer.load(sys.argv[1])
chance = random.Random(8)
words = ["".join(chance.choices("abehilt", k=chance.randint(1, 9))) for _ in range(1500)]
line = " ".join(chance.choices(words, k=2000)) + "<|endoftext|>"
slow.encoder.reference.encode("a")  # load regex and the tables before measuring
if sys.argv[2] == "kernels":
    list(slow.encoder.fast(1 << 30).encode_blocks([line]))
times = 5_000_000 // len(line) + 1
tracemalloc.start()
count = sum(1 for _ in slow.encode_iterable(line for _ in range(times)))
print(tracemalloc.get_traced_memory()[1], count == times * len(slow.encoder.reference.encode(line)))
"""


@pytest.mark.parametrize("path", ["kernels", "python"])
def test_a_stream_of_5_mb_takes_less_than_a_megabyte(path: str, tmp_path: Path) -> None:
    trained().save(tmp_path)
    # In a separate process: pytest plugins use memory too.
    command = [sys.executable, "-c", STREAM, str(tmp_path), path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak, same = done.stdout.split()
    assert same == "True"
    assert int(peak) < 1_000_000


def test_a_long_text_in_parts_gives_the_same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_encoder, "_BLOCK_CHARACTERS", 64)
    monkeypatch.setattr(fast_encoder, "_WINDOW_CHARACTERS", 48)
    monkeypatch.setattr(fast_encoder, "_SLICE_CHARACTERS", 7)
    monkeypatch.setattr(fast_encoder, "_CONVERTED_AT_ONCE", 50)
    chance = random.Random(3)
    quick = fast_of(trained())
    for size in (1, 30, 300, 3000):
        for _ in range(30):
            text = "".join(chance.choices(chance.sample(WORDS, 12), k=size))
            expected = trained().encoder.reference.encode(text)
            assert quick.encode_array(text).tolist() == expected
            found = quick.encode(text)
            assert found == expected
            assert {type(index) for index in found} <= {int}


def test_documents_keep_their_order_and_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_encoder, "_BATCH_CHARACTERS", 500)
    chance = random.Random(3)
    documents = ["".join(chance.choices(WORDS, k=chance.randint(0, 40))) for _ in range(500)]
    expected = [trained().encoder.reference.encode(document) for document in documents]
    for threads in (1, 2, 3):
        found = list(trained().encode_many(iter(documents), threads))
        assert [ids.tolist() for ids in found] == expected
    fresh = Tokenizer(trained().vocab, trained().merges, trained().special_tokens)
    assert [ids.tolist() for ids in fresh.encode_many(documents)] == expected
    assert fresh.encoder.loaded is None, "so little text is not worth loading kernels"


def test_documents_are_read_lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_encoder, "_BATCH_CHARACTERS", 100)
    fast_of(trained())
    read = 0

    def documents() -> Iterator[str]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield "the low lower"

    found = trained().encode_many(documents(), 2)
    next(found)
    assert read < 100


def test_a_lone_surrogate_is_refused() -> None:
    quick = fast_of(trained())
    for bad in ("a\ud800b", "a" * 3_000_000 + "\ud800"):
        with pytest.raises(DataError, match="surrogate"):
            quick.encode_array(bad)
    with pytest.raises(DataError, match="surrogate"):
        list(quick.encode_blocks(["a\ud800", "b"]))
    with pytest.raises(DataError, match="surrogate"):
        list(quick.encode_many(["a", "\ud800"], 1))
