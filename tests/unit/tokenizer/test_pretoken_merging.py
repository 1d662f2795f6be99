"""Merging by a heap equals merging by scanning."""

from __future__ import annotations

import random

import pytest

from lmlab.tokenizer import Tokenizer, pretoken_merging
from lmlab.tokenizer.pretoken_merging import merge_pretoken


@pytest.mark.parametrize("seed", range(20))
def test_merging_by_heap_equals_merging_by_scanning(seed: int) -> None:
    chance = random.Random(seed)
    table = {}
    for rank in range(30):
        table.setdefault((chance.randrange(8), chance.randrange(8)), (rank, chance.randrange(8)))
    ids = [chance.randrange(8) for _ in range(200)]
    by_heap = pretoken_merging._merge_by_heap(list(ids), table)
    assert by_heap == pretoken_merging._merge_by_scanning(list(ids), table)
    assert merge_pretoken(list(ids), table) == by_heap


def test_a_long_run_of_one_letter_is_not_merged_by_scanning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(ids: list[int], merges: object) -> list[int]:
        raise AssertionError(f"{len(ids)} tokens would take hours by scanning")

    monkeypatch.setattr(pretoken_merging, "_merge_by_scanning", refuse)
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"aa", 257: b"aaaa"}
    tokenizer = Tokenizer(vocab, [(b"a", b"a"), (b"aa", b"aa")])
    assert tokenizer.encode("a" * 100_003) == [257] * 25_000 + [256, ord("a")]
