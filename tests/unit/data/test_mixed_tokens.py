"""The ids of several sources in a row, and what is evaluated of each."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from mixed_ids import StoredTokens

from lmlab.data.batches import validation_windows
from lmlab.data.mixed_tokens import MixedTokens, evaluated_parts, parts_of
from lmlab.errors import DataError

TOKENIZER: Any = None
HALVES = [Fraction(1, 2), Fraction(1, 2)]


def two(first: Any, second: Any) -> MixedTokens:
    return MixedTokens.of(["a", "b"], HALVES, [first, second])


def test_ids_stand_in_a_row() -> None:
    tokens = two(StoredTokens(range(10, 40)), StoredTokens(range(500, 520)))
    assert tokens.num_tokens == len(tokens.tokens) == 50
    assert np.asarray(tokens.tokens).tolist() == [*range(10, 40), *range(500, 520)]
    assert [part.start for part in tokens.parts] == [0, 30]
    assert parts_of(tokens) == tokens.parts
    assert pickle.loads(pickle.dumps(tokens.tokens))[30] == 500


def test_a_split_that_names_no_sources_is_one() -> None:
    split = StoredTokens(range(100))
    (part,) = parts_of(split)
    assert (part.name, part.share, part.split, part.start) == ("", 1, split, 0)
    (evaluated,) = evaluated_parts(split, context_length=7, max_tokens=40)
    expected = validation_windows(split.tokens, context_length=7, max_tokens=40)
    assert evaluated.windows == expected and not evaluated.is_whole


def test_every_source_is_evaluated_for_its_share_of_the_tokens() -> None:
    tokens = two(StoredTokens(range(100)), StoredTokens(range(1000)))
    whole = evaluated_parts(tokens, context_length=8, max_tokens=None)
    assert [(one.num_tokens, one.is_whole) for one in whole] == [(99, True), (999, True)]
    cut = evaluated_parts(tokens, context_length=8, max_tokens=64)
    assert [(one.num_tokens, one.is_whole) for one in cut] == [(32, False), (32, False)]
    assert all(start + length <= 100 for start, length in cut[0].windows)


def test_bytes_are_those_of_all_or_unknown() -> None:
    known, unknown = StoredTokens(range(30)), StoredTokens(range(20), bytes_known=False)
    tokens = two(known, StoredTokens(range(20)))
    assert tokens.text_bytes(TOKENIZER) == 100
    assert tokens.evaluated_bytes(TOKENIZER, [(0, 11), (30, 6)]) == 2 * (10 + 5)
    assert tokens.evaluated_bytes(TOKENIZER, [(0, 11)]) == 20
    assert two(known, unknown).text_bytes(TOKENIZER) == 0
    assert two(known, unknown).evaluated_bytes(TOKENIZER, [(0, 11), (30, 6)]) == 0


def test_every_source_is_checked_and_named() -> None:
    class Refusing(StoredTokens):
        def check(self, *given: Any) -> None:
            raise DataError("data.valid: expected more ids", "set data.valid")

    class Short(StoredTokens):
        def check(self, *given: Any) -> None:
            raise DataError("model.context_length=7: expected 8 ids in cache/data.train.bin")

    first = StoredTokens(range(9))
    with pytest.raises(DataError) as unnamed:
        two(Short(range(9)), first).check("hash", 7, 256)
    assert unnamed.value.message == (
        "data.sources.a: model.context_length=7: expected 8 ids in cache/data.train.bin"
    )
    with pytest.raises(DataError) as refused:
        two(first, Refusing(range(9))).check("hash", 7, 256)
    assert first.checked == [("hash", 7, 256)]
    assert str(refused.value) == (
        "data.sources.b.valid: expected more ids\nhelp: set data.sources.b.valid"
    )
