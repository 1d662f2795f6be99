"""Chunks that litdata wrote are read id for id, and others are refused by what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_forms import FORMS, LITDATA, VOCAB_SIZE, documents, sequence

from lmlab.data.id_documents import IdDocuments
from lmlab.data.id_shards import open_ids
from lmlab.data.token_formats.paths import find_token_files
from lmlab.data.token_formats.recognize import recognize
from lmlab.data.token_formats.stored_ids import StoredIds
from lmlab.errors import DataError


def opened(folder: Path) -> list[StoredIds]:
    paths = find_token_files("data.train", str(folder), "train")
    return [recognize("data.train", path, dtype=None, vocab_size=VOCAB_SIZE) for path in paths]


@pytest.mark.parametrize("name", LITDATA)
def test_ids_are_those_that_were_written(name: str, tmp_path: Path) -> None:
    files = opened(FORMS[name](tmp_path))
    assert [file.form for file in files] == ["litdata"] * 3
    assert [file.shard.path.name for file in files] == [f"chunk-0-{n}.bin" for n in range(3)]
    shards = [file.unpack(tmp_path / "cache") if file.unpack else file.shard for file in files]
    assert np.array_equal(open_ids(shards)[:], sequence())
    assert all((file.unpack is None) == (name != "litdata_tree") for file in files)


@pytest.mark.parametrize("name", ["litdata", "litdata_tensor"])
def test_each_item_is_a_document_by_the_index(name: str, tmp_path: Path) -> None:
    ends = IdDocuments(opened(FORMS[name](tmp_path))).ends
    assert ends is not None
    assert ends.tolist() == np.cumsum([len(ids) for ids in documents()]).tolist()


def changed(folder: Path, change: Any) -> None:
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i["config"].update(compression="zstd"), "found compression zstd"),
        (lambda i: i["config"].update(data_format=["jpeg"]), "found litdata's data_format"),
        (lambda i: i["config"].update(data_format=["no_header_numpy:9"]), "expected items of tok"),
        (lambda i: i["config"].update(data_format=["int", "no_header_numpy:5"]), "expected items"),
        (lambda i: i.update(config=None), "expected items of token ids"),
        (lambda i: i["chunks"][0].update(chunk_size=17), "expected 17 items by index.json"),
        (lambda i: i["chunks"][0].update(filename="chunk-9.bin"), r"expected chunk-9\.bin, as"),
        (lambda i: i["chunks"][0].update(filename="../litdata/chunk-0-0.bin"), "as index.json"),
        (lambda i: i.update(chunks=[]), "lists no chunks"),
    ],
)
def test_what_cannot_be_read_is_named(change: Any, message: str, tmp_path: Path) -> None:
    folder = FORMS["litdata"](tmp_path)
    changed(folder, change)
    with pytest.raises(DataError, match=message):
        opened(folder)


@pytest.mark.parametrize("size", [0, 3, 40, 1557, 1559])
def test_an_incomplete_chunk_is_refused(size: int, tmp_path: Path) -> None:
    folder = FORMS["litdata"](tmp_path)
    path = folder / "chunk-0-0.bin"
    path.write_bytes((path.read_bytes() + b"\0")[:size])
    with pytest.raises(DataError, match=r"chunk-0-0\.bin: the chunk is incomplete"):
        opened(folder)
