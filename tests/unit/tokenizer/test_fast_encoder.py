"""Encoding by the kernels against encoding in Python, which other tests hold against others."""

from __future__ import annotations

import functools
import itertools
import random
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, adaptive_encoder, fast_encoder, kernel_encoder, pretokenize
from lmlab.tokenizer.fast_encoder import FastEncoder
from lmlab.tokenizer.kernels import kinds, layout
from lmlab.tokenizer.vocabulary import VocabularyIds

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
    """Random merges: more of them meet in one word than in a learned vocabulary."""
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


@pytest.mark.parametrize("extra", [0, 70_000])
@pytest.mark.parametrize("pattern", [kinds.GPT2_PATTERN, kinds.CL100K_PATTERN])
def test_the_kernels_give_the_ids_of_the_python_path(pattern: str, extra: int) -> None:
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


def test_random_bytes_come_back() -> None:
    chance = random.Random(4)
    tables = fast_of(trained()).tables
    worker = kernel_encoder.Worker(tables)
    for _ in range(300):
        data = chance.randbytes(chance.choice([1, 5, 64, 300]))
        text = np.frombuffer(data + bytes(kernel_encoder.PADDING), dtype=np.uint8)
        found = worker.encode(text, np.array([0, len(data)], dtype=np.int64))
        assert b"".join(trained().vocab[index] for index in found.ids.tolist()) == data
        try:
            data.decode("utf-8")
            assert found.malformed is None
        except UnicodeDecodeError as error:
            assert found.malformed == error.start


def test_words_that_differ_in_one_place_are_told_apart() -> None:
    """At each place of each length: a table of words is asked by their bytes."""
    pieces = [b"a", b"aa", b"aaaa", b"aaaaaaaa"]  # few ids a word, as the table has room for
    entries = [*(bytes([byte]) for byte in range(256)), *pieces[1:]]
    slow = Tokenizer(dict(enumerate(entries)), [(piece, piece) for piece in pieces[:3]])
    for length in range(1, 40):
        words = [
            "a" * place + letter + "a" * (length - 1 - place)
            for place in range(length)
            for letter in "bcd"
        ]
        text = ".".join(words + words)
        assert fast_of(slow).encode_array(text).tolist() == slow.encoder.reference.encode(text)


def tables_with_lines(slow: Tokenizer, lines: int) -> kernel_encoder.Tables:
    tables = kernel_encoder.make_tables(slow.ids, lines=lines)
    assert tables is not None
    return tables


def encoded(worker: kernel_encoder.Worker, text: str) -> kernel_encoder.Encoded:
    data = text.encode()
    array = np.frombuffer(data + bytes(kernel_encoder.PADDING), dtype=np.uint8)
    return worker.encode(array, np.array([0, len(data)], dtype=np.int64))


def test_small_tables_that_forget_change_nothing() -> None:
    slow = trained()
    chance = random.Random(9)
    worker = kernel_encoder.Worker(tables_with_lines(slow, 1), long_entries=1)
    for _ in range(100):
        text = "".join(chance.choices(WORDS, k=50))
        found = encoded(worker, text)
        assert found.ids.tolist() == slow.encoder.reference.encode(text)
        specials = sum(
            len(slow.vocab[index]) for index in found.ids.tolist() if index >= len(slow.vocab) - 3
        )
        assert found.special_bytes == specials


@pytest.mark.parametrize("extra", [0, 70_000])
def test_entries_torn_between_threads_are_never_believed(extra: int) -> None:
    """Any of an entry's four numbers may be another's, as where two threads write at once."""
    slow = trained(extra=extra)
    chance = random.Random(3)
    lines = 16
    tables = tables_with_lines(slow, lines)
    worker = kernel_encoder.Worker(tables)
    # Alike in one half of the key or in the other, so that some are wrong in one number alone.
    words = [a * 8 + b * 3 for a in "abeth" for b in ("", "a", "b", "th")]
    words += [f"{number}"[:3] for number in range(100, 140)]
    for _ in range(300):
        text = ".".join(chance.choices(words, k=60))
        assert encoded(worker, text).ids.tolist() == slow.encoder.reference.encode(text)
        numbers = tables.words.view.cast("Q")
        entries = np.array(numbers).reshape(2 * lines, 4)
        used = np.flatnonzero(entries[:, 1])
        for _ in range(40):
            torn, other = chance.choice(used), chance.choice(used)
            half = chance.choice([slice(0, 1), slice(1, 2), slice(2, 4), slice(0, 2), slice(3, 4)])
            entries[torn, half] = entries[other, half]
        numbers[:] = memoryview(entries.reshape(-1))


def test_threads_that_share_a_small_table_agree_with_python() -> None:
    slow = trained()
    tables = tables_with_lines(slow, 2)
    chance = random.Random(6)
    texts = ["".join(chance.choices(WORDS, k=3000)) for _ in range(4)]
    expected = [slow.encoder.reference.encode(text) for text in texts]

    def work(place: int) -> bool:
        worker = kernel_encoder.Worker(tables)
        found = [encoded(worker, texts[place]).ids.tolist() for _ in range(200)]
        return all(ids == expected[place] for ids in found)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def ids_of(vocab_size: int, merge_ids: array[int]) -> VocabularyIds:
    lengths = array("I", bytes(4 * vocab_size))
    return VocabularyIds(kinds.GPT2_PATTERN, {}, list(range(256)), merge_ids, lengths)


def test_ids_that_no_slot_holds_are_left_to_python() -> None:
    most = layout.MAX_IDS
    merge_ids = array("i", [97, 98, most - 1])
    assert kernel_encoder.make_tables(ids_of(most + 1, merge_ids)) is None
    tables = kernel_encoder.make_tables(ids_of(most, merge_ids))
    assert tables is not None
    slots = 8 * (tables.pair_mask + 1)
    for place in range(slots, slots + slots // 16):  # the filter: look at the slots of every pair
        tables.pairs.view[place] = 0xFF
    # Of all pairs the largest, beside which an empty slot may not look alike.
    assert encoded(kernel_encoder.Worker(tables), "abab").ids.tolist() == [most - 1, most - 1]
    assert encoded(kernel_encoder.Worker(tables), "ab b").ids.tolist() == [most - 1, 32, 98]


def test_ranks_that_no_slot_holds_are_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_MERGES", 1)
    for count, known in ((1, True), (2, False)):
        merge_ids = array("i", [97, 98, 256, 98, 99, 257][: 3 * count])
        tables = kernel_encoder.make_tables(ids_of(258, merge_ids))
        assert (tables is not None) == known


@settings(max_examples=200, deadline=None)
@given(texts, st.randoms(use_true_random=False), st.integers(1, 12))
def test_a_stream_cut_anywhere_equals_the_whole(
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
slow.encoder.reference.encode("a")  # regex and the tables are the tokenizer's, not the stream's
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
    # In a process of its own, for a test runner's plugins take memory too.
    command = [sys.executable, "-c", STREAM, str(tmp_path), path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak, same = done.stdout.split()
    assert same == "True"
    assert int(peak) < 1_000_000


def test_a_stream_goes_over_to_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive_encoder, "_WORTH_IN_STREAM", 20_000)
    monkeypatch.setattr(pretokenize, "_BLOCK", 1000)
    chance = random.Random(2)
    for _ in range(20):
        text = "".join(chance.choices(WORDS, k=20_000))
        fresh = Tokenizer(trained().vocab, trained().merges, trained().special_tokens)
        parts = (text[start : start + 777] for start in range(0, len(text), 777))
        assert list(fresh.encode_iterable(parts)) == trained().encoder.reference.encode(text)
        assert fresh.encoder.loaded is not None


def test_a_long_text_in_parts_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_many_documents_keep_their_order_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_documents_are_read_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_another_pattern_stays_in_python() -> None:
    other = Tokenizer(trained().vocab, trained().merges, [END], pattern=r"\w+|\W")
    assert other.encoder.fast(1 << 30) is None
    text = "the low, lower " * 30_000
    assert (
        other.encode_array(text).tolist()
        == other.encode(text)
        == other.encoder.reference.encode(text)
    )


def random_base64(size: int) -> str:
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(random.Random(1).choices(signs, k=size))


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["a", " ", "1", "\n", "東", ".", "base64"])
def test_ten_megabytes_of_one_pretoken(sign: str) -> None:
    size = 10_000_000
    text = random_base64(size) if sign == "base64" else sign * (size // len(sign.encode()))
    entries = [bytes([byte]) for byte in range(256)]
    merges: list[tuple[bytes, bytes]] = []
    one = sign.encode() if sign != "base64" else b"a"
    for start in range(1, len(one)):
        merges.append((one[:start], one[start : start + 1]))
    merges += [(one * times, one * times) for times in (1, 2, 4, 8)]
    merges += [(one, one * 2)]
    chance = random.Random(2)
    pool = [bytes([byte]) for byte in range(65, 123)]
    for _ in range(2000 if sign == "base64" else 0):
        pair = chance.choice(pool), chance.choice(pool)
        if pair not in merges:
            merges.append(pair)
            pool.append(pair[0] + pair[1])
    entries += dict.fromkeys(left + right for left, right in merges)
    slow = Tokenizer(dict(enumerate(dict.fromkeys(entries))), merges)
    quick = fast_of(slow)
    start = time.process_time()
    ids = quick.encode_array(text)
    seconds = time.process_time() - start
    assert seconds < 5, f"{seconds:.1f} s"
    assert sum(len(slow.vocab[index]) for index in ids[:1000].tolist()) > 0
    assert int(slow.token_byte_lengths[ids].sum()) == len(text.encode())
    short = text[:3000]
    assert quick.encode_array(short).tolist() == slow.encoder.reference.encode(short)
