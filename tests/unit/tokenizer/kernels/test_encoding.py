"""The tables of encoded pre-tokens never change ids, whatever they evict or share."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from random_merges import WORDS, encoded, fast_of, trained

from lmlab.tokenizer import Tokenizer, kernel_encoder
from lmlab.tokenizer.buffers import PADDING


def test_random_bytes_decode_back() -> None:
    chance = random.Random(4)
    tables = fast_of(trained()).tables
    worker = kernel_encoder.Worker(tables)
    for _ in range(300):
        data = chance.randbytes(chance.choice([1, 5, 64, 300]))
        text = np.frombuffer(data + bytes(PADDING), dtype=np.uint8)
        found = worker.encode(text, np.array([0, len(data)], dtype=np.int64))
        assert b"".join(trained().vocab[index] for index in found.ids.tolist()) == data
        try:
            data.decode("utf-8")
            assert found.malformed is None
        except UnicodeDecodeError as error:
            assert found.malformed == error.start


def test_words_that_differ_in_one_byte_get_their_own_ids() -> None:
    """Differences at each index of each length: the table is keyed by the bytes of words."""
    pieces = [b"a", b"aa", b"aaaa", b"aaaaaaaa"]  # few ids per word, so that the table holds them
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


def test_evictions_do_not_change_ids() -> None:
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
def test_torn_entries_are_never_used(extra: int) -> None:
    """Any of an entry's four numbers may be from another, as if two threads wrote at once."""
    slow = trained(extra=extra)
    chance = random.Random(3)
    lines = 16
    tables = tables_with_lines(slow, lines)
    worker = kernel_encoder.Worker(tables)
    # Equal in either half of the key, so that some entries are wrong in a single number.
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


def test_threads_that_share_a_small_table_give_correct_ids() -> None:
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
