"""Chunks of token ids that litdata wrote.

A chunk holds the number of items and the place of each item and of the end, all uint32; then the
items. With litdata's ``TokensLoader`` these are ids without anything between; with its default
loader, the size of each item stands before it, as uint32. ``index.json`` says the type of an id by
a number. Source: litdata 0.2.76, ``streaming/writer.py``, ``streaming/item_loader.py`` and
``constants.py``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.data.id_shards import IdShard
from lmlab.data.token_formats.stored_ids import IdArray, StoredIds
from lmlab.data.token_formats.unpacked import unpacked
from lmlab.errors import DataError

_FORMAT = re.compile(r"no_header_(numpy|tensor):(\d+)")
# Numbers of types whose values may be ids.
_TYPES = {
    "numpy": {2: "int32", 3: "int64", 5: "uint16", 6: "uint32"},
    "tensor": {15: "int32", 16: "int32", 17: "int64", 18: "int64", 20: "uint16"},
}
_AGAIN = "copy or download the file again"


def open_chunk(named: str, path: Path, config: Any, entry: dict[str, Any]) -> StoredIds:
    """Return the ids of a chunk.

    Args:
        named: the beginning of a message.
        path: the file.
        config: of the index.
        entry: the chunk in the index.

    Raises:
        DataError: it does not hold ids, is compressed, or incomplete.
    """
    dtype = _type(named, config)
    width = np.dtype(dtype).itemsize
    offsets = _offsets(named, path)
    if len(offsets) - 1 != entry.get("chunk_size"):
        raise DataError(
            f"{named}: expected {entry.get('chunk_size')} items by index.json, found "
            f"{len(offsets) - 1}",
            _AGAIN,
        )
    if config.get("item_loader") != "TokensLoader":
        parts = functools.partial(_items, path, offsets, dtype)
        return StoredIds(
            IdShard(path, dtype, 0, 0), "litdata",
            unpack=functools.partial(unpacked, named, path, dtype, parts),
        )  # fmt: skip
    shard = IdShard(path, dtype, int(offsets[0]), int(offsets[-1] - offsets[0]) // width)
    ends = (offsets[1:] - offsets[0]) // width
    return StoredIds(shard, "litdata", read_ends=lambda: ends)


def _type(named: str, config: Any) -> str:
    config = config if isinstance(config, dict) else {}
    for way in ("compression", "encryption"):
        if config.get(way):
            raise DataError(
                f"{named}: expected chunks of litdata as they are, found {way} {config[way]}",
                f"write them with optimize(..., item_loader=TokensLoader()) and without {way}",
            )
    forms = config.get("data_format") or []
    match = _FORMAT.fullmatch(str(forms[0])) if len(forms) == 1 else None
    dtype = _TYPES[match[1]].get(int(match[2])) if match else None
    if dtype is None:
        raise DataError(
            f"{named}: expected items of token ids, found litdata's data_format {forms}",
            "return numpy.array(ids, 'uint16'), or 'uint32', from the function for optimize",
        )
    return dtype


def _offsets(named: str, path: Path) -> np.ndarray[Any, Any]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        count = int.from_bytes(file.read(4), "little")
        data = file.read(4 * (count + 1)) if 4 * (count + 2) <= size else b""
    offsets = np.frombuffer(data, "<u4").astype(np.int64)
    first = 4 * (count + 2)
    if (
        not len(offsets)
        or offsets[0] != first
        or offsets[-1] != size
        or (np.diff(offsets) < 0).any()
    ):
        raise DataError(f"{named}: the chunk is incomplete", _AGAIN)
    return offsets


def _items(path: Path, offsets: np.ndarray[Any, Any], dtype: str) -> Iterator[IdArray]:
    data = np.memmap(path, np.uint8, "r")
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        yield np.frombuffer(data[start + 4 : end], f"<{np.dtype(dtype).str[1:]}")
