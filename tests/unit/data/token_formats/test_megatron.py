"""Megatron's pairs: found by either name, and refused where they do not fit."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from token_forms import FILES, FORMS, documents, sequence

from lmlab.data.token_formats.megatron import find_pair, index_of, open_megatron
from lmlab.data.token_formats.recognize import recognize
from lmlab.errors import DataError


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    binary = FORMS["megatron"](tmp_path)
    return binary, binary.with_suffix(".idx")


def refused(pair: tuple[Path, Path]) -> str:
    with pytest.raises(DataError) as error:
        open_megatron("data.train=a", *pair)
    return error.value.message


def test_a_pair_is_found_by_each_of_its_names(pair: tuple[Path, Path]) -> None:
    assert find_pair(pair[0]) == find_pair(pair[1]) == find_pair(pair[0].with_suffix("")) == pair
    assert find_pair(pair[0].with_name("other.bin")) is None


@pytest.mark.parametrize(("name", "dtype"), [("mine", "uint16"), ("wide", "int32")])
def test_an_index_is_that_of_the_package(name: str, dtype: str) -> None:
    lengths = np.array([len(ids) for ids in documents()])
    content = (FILES / f"{name}_text_document.idx").read_bytes()
    assert b"".join(index_of(dtype, lengths)) == content


def test_a_missing_half_is_refused(pair: tuple[Path, Path]) -> None:
    pair[1].unlink()
    options = {"dtype": None, "vocab_size": 1000}
    with pytest.raises(DataError, match=r"expected its index mine_text_document\.idx") as error:
        recognize("data.train", pair[0], **options)  # type: ignore[arg-type]
    assert "data.dtype" in str(error.value.help)
    found = recognize("data.train", pair[0], dtype="uint16", vocab_size=1000)
    assert np.array_equal(found.shard.ids(), sequence())
    assert "beside" in refused((pair[0].with_name("none.bin"), pair[1]))


def test_contradictions_are_refused(pair: tuple[Path, Path]) -> None:
    content = pair[1].read_bytes()
    for place, value, message in (
        (9, struct.pack("<Q", 2), "expected version 1, found 2"),
        (17, b"\x06", "expected ids of int32, int64, uint16"),
        (18, struct.pack("<Q", 41), "expected .* bytes for 41 sequences"),
        (34, struct.pack("<i", 7), "ids by mine_text_document.idx"),
        (34 + 4 * 40, struct.pack("<q", 2), "expected sequences in a row"),
    ):
        pair[1].write_bytes(content[:place] + value + content[place + len(value) :])
        with pytest.raises(DataError, match=message):
            open_megatron("data.train=a", *pair)
    pair[1].write_bytes(content[:20])
    assert "is incomplete" in refused(pair)
    pair[1].write_bytes(content)
    pair[0].write_bytes(pair[0].read_bytes()[:-2])
    assert "by mine_text_document.idx" in refused(pair)
