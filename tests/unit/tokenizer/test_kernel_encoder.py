"""Kernel tables exist only for vocabularies that fit them."""

from __future__ import annotations

from array import array

import pytest
from random_merges import encoded

from lmlab.tokenizer import kernel_encoder
from lmlab.tokenizer.kernels import kinds, layout
from lmlab.tokenizer.vocabulary import VocabularyIds


def ids_of(vocab_size: int, merge_ids: array[int]) -> VocabularyIds:
    lengths = array("I", bytes(4 * vocab_size))
    return VocabularyIds(kinds.GPT2_PATTERN, {}, list(range(256)), merge_ids, lengths)


def test_vocabularies_with_too_many_ids_have_no_tables() -> None:
    most = layout.MAX_IDS
    merge_ids = array("i", [97, 98, most - 1])
    assert kernel_encoder.make_tables(ids_of(most + 1, merge_ids)) is None
    tables = kernel_encoder.make_tables(ids_of(most, merge_ids))
    assert tables is not None
    slots = 8 * (tables.pair_mask + 1)
    for place in range(slots, slots + slots // 16):  # set the full filter: every lookup reads slots
        tables.pairs.view[place] = 0xFF
    # The largest pair of all, which must differ from an empty slot.
    assert encoded(kernel_encoder.Worker(tables), "abab").ids.tolist() == [most - 1, most - 1]
    assert encoded(kernel_encoder.Worker(tables), "ab b").ids.tolist() == [most - 1, 32, 98]


def test_vocabularies_with_too_many_merges_have_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_MERGES", 1)
    for count, known in ((1, True), (2, False)):
        merge_ids = array("i", [97, 98, 256, 98, 99, 257][: 3 * count])
        tables = kernel_encoder.make_tables(ids_of(258, merge_ids))
        assert (tables is not None) == known
