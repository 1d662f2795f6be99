"""Ids with the tokenizer that made them, and another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmlab.data.id_shards import IdShard
from lmlab.data.id_split import IdSplit, IdTokens
from lmlab.data.id_survey import survey_ids
from lmlab.errors import DataError
from lmlab.records.text import Text
from lmlab.tokenizer.factories import byte_level
from lmlab.tokenizer.ids_only import IdsOnly


def split_of(folder: Path, *made_by: str) -> IdSplit:
    np.arange(40, dtype="u2").tofile(folder / "a.bin")
    shards = (IdShard(folder / "a.bin", "uint16", 0, 40),)
    found = survey_ids(shards, None)
    return IdSplit(IdTokens(shards, found, "data.train", None, None, frozenset(made_by)))


def test_ids_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    tokenizer = byte_level(Text(()), tmp_path, "", special_tokens=["<|endoftext|>"])
    found = split_of(tmp_path, tokenizer.hash).encode(tokenizer, tmp_path, name="train")
    assert found.text_bytes(tokenizer) == 40
    other = split_of(tmp_path, "0123456789")
    with pytest.raises(DataError, match="made by another tokenizer \\(01234567"):
        other.encode(tokenizer, tmp_path, name="train")
    assert other.encode(IdsOnly(300), tmp_path, name="train") == other.ids


def test_too_few_ids_for_a_window_are_refused(tmp_path: Path) -> None:
    ids = split_of(tmp_path).ids
    ids.check("", 39, 40)
    with pytest.raises(DataError, match=r"model\.context_length=40: expected at least 41 ids"):
        ids.check("", 40, 40)
    with pytest.raises(DataError, match="found 39 as number 39 of uint16"):
        ids.check("", 8, 39)
