"""Parts of documents in the windows of a text."""

from __future__ import annotations

import dataclasses
from collections import Counter
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lmlab.data import document_parts
from lmlab.data.document_parts import find_documents, part_lengths
from lmlab.data.mixed_tokens import Part
from lmlab.errors import ConfigError, DataError
from lmlab.nn.document_layout import Documents

END = 0
ENDS = Documents(END)


def parts_by_hand(ids: list[int], is_before: bool, context: int) -> tuple[Counter[int], int]:
    """Walk through each window, id by id."""
    found: Counter[int] = Counter()
    ends = 0
    for first in range(0, len(ids) - context + 1, context):
        length = 0
        for id in ids[first : first + context]:
            ends += id == END
            if is_before and id == END and length:
                found[length] += 1
                length = 0
            length += 1
            if not is_before and id == END:
                found[length] += 1
                length = 0
        if length:
            found[length] += 1
    return found, ends


@pytest.mark.parametrize("step", [1, 13, 1 << 22])
@pytest.mark.parametrize("is_before", [False, True])
@pytest.mark.parametrize("context", [1, 5, 12])
def test_parts_are_those_of_each_window(
    context: int, is_before: bool, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_parts, "_STEP", step)
    ids = np.random.default_rng(0).integers(0, 4, 203).astype(np.uint16)
    lengths, num_ends = part_lengths(ids, Documents(END, is_before), context)
    expected, ends = parts_by_hand(ids.tolist(), is_before, context)
    assert dict(lengths) == expected and num_ends == ends
    assert sum(length * number for length, number in lengths) == 203 // context * context


class Split:
    """A split of given ids."""

    def __init__(self, ids: list[int], documents: Documents | None = ENDS) -> None:
        self.tokens, self._documents = np.array(ids, np.uint16), documents

    def documents(self, tokenizer: Any) -> Documents | None:
        return self._documents


def found_in(train: Split, cache: Path, valid: Split | None = None) -> Documents:
    return find_documents(
        train, valid or Split([1, END]), SimpleNamespace(hash="x"), text_hash="y",
        context_length=4, cache_dir=cache,
    )  # type: ignore[arg-type] # fmt: skip


def test_documents_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = Split([1, 2, END, 3, 4, 5, 6, 7, 8])
    first = found_in(train, tmp_path)
    assert first == Documents(END, False, ((1, 1 / 8), (3, 1 / 8), (4, 1 / 8)))
    monkeypatch.setattr(document_parts, "part_lengths", None)  # cannot be called
    assert found_in(train, tmp_path) == first
    # A query of a part of n tokens is multiplied with n keys: (1 + 9 + 16) / 8.
    assert first.mean_keys(int, 4) == 26 / 8
    assert dataclasses.replace(first, lengths=()).mean_keys(int, 4) == 4


def test_sources_count_by_their_shares(tmp_path: Path) -> None:
    short, long = Split([1, END] * 8), Split([1, 2, 3, 4] * 4)
    mixed = Split([])
    shares = Fraction(3, 4), Fraction(1, 4)
    mixed.parts = tuple(map(Part, "ab", shares, (short, long)))  # type: ignore[attr-defined]
    # Of four tokens, three are in parts of two.
    assert found_in(mixed, tmp_path).mean_keys(int, 4) == 3 / 4 * 2 + 1 / 4 * 4
    mixed.parts = tuple(map(Part, "ab", shares[::-1], (short, long)))  # type: ignore[attr-defined]
    assert found_in(mixed, tmp_path).mean_keys(int, 4) == 1 / 4 * 2 + 3 / 4 * 4


def test_a_text_without_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the id 0 stands nowhere in it") as refused:
        found_in(Split([1, 2, 3, 4, 5]), tmp_path)
    assert "data.documents" in str(refused.value.help)


def test_splits_with_other_ends_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found 0 in data\.train and 7 in data\.valid"):
        found_in(Split([1, END] * 4), tmp_path, Split([1, 7], Documents(7)))
    found_in(Split([1, END] * 4), tmp_path, Split([1, 7], None))


def test_an_unknown_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none is known") as refused:
        found_in(Split([1, 2], None), tmp_path)
    assert "data.end_id" in str(refused.value.help)
