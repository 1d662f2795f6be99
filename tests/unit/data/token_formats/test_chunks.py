"""Which chunks a folder has, and which file belongs to an index."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from token_forms import FORMS, VOCAB_SIZE, sequence

from lmlab.data.token_formats.chunks import open_chunk, read_index
from lmlab.data.token_formats.paths import find_token_files
from lmlab.data.token_sources import TokenFiles
from lmlab.errors import DataError


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"chunks": 3}', '{"version": 2}'])
def test_another_index_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)
    assert read_index(tmp_path) is None
    (tmp_path / "ids.bin").write_bytes(sequence().astype(np.uint16).tobytes())
    assert open_chunk("data.train", tmp_path / "ids.bin", None) is None
    assert find_token_files("data.train", str(tmp_path), "train") == [tmp_path / "ids.bin"]


def test_the_order_is_that_of_the_index(tmp_path: Path) -> None:
    folder = FORMS["litdata"](tmp_path)
    index = json.loads((folder / "index.json").read_text())
    index["chunks"].reverse()
    (folder / "index.json").write_text(json.dumps(index))
    found = find_token_files("data.train", str(folder), "train")
    assert [path.name for path in found] == [f"chunk-0-{n}.bin" for n in (2, 1, 0)]


def test_a_pattern_of_chunks_and_a_merged_set_are_read_too(tmp_path: Path) -> None:
    folder = FORMS["mds"](tmp_path)
    by_pattern = TokenFiles(
        tmp_path / "cache", train=f"{folder}/*.mds", vocab_size=VOCAB_SIZE
    ).prepare()
    index = json.loads((folder / "index.json").read_text())
    (folder / "0").mkdir()
    for entry in index["shards"]:
        name = entry["raw_data"]["basename"]
        shutil.move(folder / name, folder / "0" / name)
        entry["raw_data"]["basename"] = f"0/{name}"
    (folder / "index.json").write_text(json.dumps(index))
    merged = TokenFiles(tmp_path / "cache", train=str(folder), vocab_size=VOCAB_SIZE)
    merged.check()
    assert merged.prepare().train_hash == by_pattern.train_hash
    (folder / "0" / "shard.00001.mds").unlink()
    with pytest.raises(DataError, match=r"expected 0/shard\.00001\.mds, as index\.json says"):
        merged.check()
