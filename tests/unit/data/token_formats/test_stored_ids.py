"""Sizes and counts that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.data.token_formats.stored_ids import check_count, shard_to_the_end
from lmlab.errors import DataError


def test_a_shard_reaches_from_the_header_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(12)))
    shard = shard_to_the_end("a", tmp_path / "a.bin", "uint32", 4)
    assert shard.num_tokens == 2 and shard.ids()[0] == 0x07060504
    check_count("a", "its header", 2, shard)
    with pytest.raises(DataError, match="a: expected 3 ids by its header, found 2"):
        check_count("a", "its header", 3, shard)
    with pytest.raises(DataError, match="expected a multiple of 4 bytes for ids of uint32"):
        shard_to_the_end("a", tmp_path / "a.bin", "uint32", 3)
