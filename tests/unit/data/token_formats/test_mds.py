"""Shards that mosaicml-streaming wrote are read id for id; damaged and other ones are refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_forms import FORMS, MDS, VOCAB_SIZE, sequence

from lmlab.data.id_shards import IdShard, open_ids
from lmlab.data.token_formats.paths import find_token_files
from lmlab.data.token_formats.recognize import recognize
from lmlab.data.token_formats.stored_ids import StoredIds
from lmlab.errors import DataError


def opened(folder: Path, dtype: str | None = None) -> list[StoredIds]:
    paths = find_token_files("data.train", str(folder), "train")
    return [recognize("data.train", path, dtype=dtype, vocab_size=VOCAB_SIZE) for path in paths]


def shards_of(folder: Path, cache: Path, dtype: str | None = None) -> list[IdShard]:
    return [file.unpack(cache) if file.unpack else file.shard for file in opened(folder, dtype)]


@pytest.mark.parametrize("name", MDS)
def test_ids_are_those_that_were_written(name: str, tmp_path: Path) -> None:
    folder = FORMS[name](tmp_path)
    shards = shards_of(folder, tmp_path / "cache")
    assert np.array_equal(open_ids(shards)[:], sequence())
    is_mapped = {shard.path.parent for shard in shards} == {folder}
    assert is_mapped == (name == "mds_fixed"), "only these stand in a row"


def test_the_cache_is_written_once_for_each_state_of_a_shard(tmp_path: Path) -> None:
    folder, cache = FORMS["mds"](tmp_path), tmp_path / "cache"
    first = shards_of(folder, cache)
    times = [shard.path.stat().st_mtime_ns for shard in first]
    assert shards_of(folder, cache) == first
    assert [shard.path.stat().st_mtime_ns for shard in first] == times
    path = folder / "shard.00000.mds"
    data = bytearray(path.read_bytes())
    data[-2:] = (7).to_bytes(2, "little")
    path.write_bytes(data)
    again = shards_of(folder, cache)
    assert again[0].path != first[0].path and again[1] == first[1]
    assert again[0].ids()[-1] == 7


def test_raw_shards_are_preferred_to_compressed_ones(tmp_path: Path) -> None:
    folder = FORMS["mds_bytes"](tmp_path)
    for path in folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    assert {file.shard.path.suffix for file in opened(folder)} == {".mds"}
    assert np.array_equal(open_ids(shards_of(folder, tmp_path / "cache"))[:], sequence())


def test_a_column_of_bytes_has_the_type_of_the_setting(tmp_path: Path) -> None:
    shards = shards_of(FORMS["mds_bytes"](tmp_path), tmp_path / "cache", "uint32")
    ids = open_ids(shards)[:]
    assert np.array_equal(ids[::2], sequence()) and not ids[1::2].any()


def changed(folder: Path, **fields: Any) -> None:
    index = json.loads((folder / "index.json").read_text())
    for entry in index["shards"]:
        entry.update(fields)
    (folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("mds_columns", {"compression": "br:3"}, "compressed by zstd, gz, bz2, found br"),
        ("mds", {"column_encodings": ["str"]}, r"named tokens or .*, found tokens \(str\)"),
        ("mds", {"column_encodings": ["ndarray:float32"]}, "expected ids of .*, found float32"),
        ("mds_columns", {"column_encodings": ["bytes", "bytes", "bytes"],
                         "column_names": ["a", "b", "c"]}, r"found a \(bytes\), b \(bytes\)"),
        ("mds_fixed", {"samples": 2}, "shard is incomplete"),
        ("mds_fixed", {"raw_data": {"basename": "shard.00000.mds", "bytes": 5}}, "expected 5 byt"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(
    name: str, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = FORMS[name](tmp_path)
    changed(folder, **fields)
    with pytest.raises(DataError, match=message):
        opened(folder)


@pytest.mark.parametrize("name", ["mds_columns", "mds_bytes"])
def test_a_damaged_shard_is_refused_when_it_is_unpacked(name: str, tmp_path: Path) -> None:
    folder = FORMS[name](tmp_path)
    for path in folder.glob("shard.00000*"):
        path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"shard\.00000\.mds\.\w+( cannot be read|: the shard is)"):
        shards_of(folder, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.bin"))


def test_numbers_that_are_no_ids_are_told(tmp_path: Path) -> None:
    folder = FORMS["mds_bytes"](tmp_path)
    for path in folder.glob("*.gz"):
        data = bytearray(gzip.decompress(path.read_bytes()))
        data[-1] = 0x7F  # the highest byte of the last id
        path.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(DataError, match=r"expected ids of uint32, found .*\n.*see data\.dtype"):
        shards_of(folder, tmp_path / "cache")
