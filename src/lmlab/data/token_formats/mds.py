"""Shards of token ids in MDS, the form of mosaicml-streaming.

A shard holds the number of samples and the place of each sample and of the end, all uint32; then
the samples. In a sample stand the sizes of the columns that have none in the index, as uint32, and
then the columns. An array begins with a byte for its type and its shape, where the index does not
say them; of bytes nothing is known but the setting. Source: mosaicml-streaming 0.13.0,
``streaming/base/format/mds``.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import itertools
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zstandard

from lmlab.data.id_shards import IdShard
from lmlab.data.token_formats.stored_ids import DTYPES, IdArray, StoredIds
from lmlab.data.token_formats.unpacked import unpacked
from lmlab.errors import DataError

_NAMES = ("tokens", "input_ids", "ids")  # of the column, where there are several
_TYPES = {16: "uint16", 32: "uint32", 33: "int32", 65: "int64"}  # by the first byte of an array
_BYTES = "int64"  # what a column of bytes holds, as llm-foundry wrote it
_AGAIN = "copy or download the file again"
_DAMAGES = (OSError, EOFError, zlib.error, zstandard.ZstdError)


class _Column(NamedTuple):
    """The column of the ids.

    Attributes:
        place: among all columns.
        sizes: of each column in bytes; None where a sample says it.
        dtype: type of an id; None where a sample says it.
        has_shape: whether a sample says the shape.
    """

    place: int
    sizes: list[int | None]
    dtype: str | None
    has_shape: bool

    @property
    def num_heads(self) -> int:
        """How many sizes stand at the beginning of a sample."""
        return self.sizes.count(None)


def open_shard(named: str, path: Path, entry: dict[str, Any], dtype: str | None) -> StoredIds:
    """Return the ids of a shard.

    Args:
        named: the beginning of a message.
        path: the file, which may be compressed.
        entry: the shard in ``index.json``.
        dtype: type of an id in a column of bytes; None: int64.

    Raises:
        DataError: it does not hold ids, is incomplete, or compressed in an unknown way.
    """
    column = _find_column(named, entry, dtype)
    compressed = entry.get("zip_data") or {}
    is_compressed = path.name == str(compressed.get("basename", "")).rpartition("/")[2]
    way = str(entry.get("compression") or "").partition(":")[0]
    if is_compressed and way not in _DECOMPRESS:
        raise DataError(
            f"{named}: expected MDS compressed by {', '.join(_DECOMPRESS)}, found {way}",
            "write it with MDSWriter(..., compression='zstd'), or keep the raw shards too",
        )
    found_dtype = column.dtype or "uint32"
    size = (entry.get("raw_data") or {}).get("bytes")
    if not is_compressed and path.stat().st_size != size:
        raise DataError(
            f"{named}: expected {size} bytes by index.json, found {path.stat().st_size:,}", _AGAIN
        )
    if not is_compressed and len(column.sizes) == 1 and column.sizes[0] and column.dtype:
        offsets = _offsets(named, np.memmap(path, np.uint8, "r"), entry)
        width = np.dtype(column.dtype).itemsize
        count = int(offsets[-1] - offsets[0]) // width
        return StoredIds(IdShard(path, column.dtype, int(offsets[0]), count), "MDS")
    decompress = _DECOMPRESS[way] if is_compressed else None
    parts = functools.partial(_samples, named, path, entry, column, decompress)
    return StoredIds(
        IdShard(path, found_dtype, 0, 0), "MDS",
        unpack=functools.partial(unpacked, named, path, found_dtype, parts),
    )  # fmt: skip


def _find_column(named: str, entry: dict[str, Any], dtype: str | None) -> _Column:
    names = [str(name) for name in entry.get("column_names", [])]
    encodings = [str(one) for one in entry.get("column_encodings", [])]
    sizes = list(entry.get("column_sizes", []))
    kinds = {name: one.partition(":")[0] for name, one in zip(names, encodings, strict=False)}
    arrays = [name for name, kind in kinds.items() if kind in ("ndarray", "bytes")]
    chosen = next((name for name in _NAMES if name in arrays), arrays[0] if arrays else None)
    if chosen is None or (len(arrays) > 1 and chosen not in _NAMES):
        listed = ", ".join(f"{name} ({one})" for name, one in zip(names, encodings, strict=False))
        raise DataError(
            f"{named}: expected a column of token ids named {' or '.join(_NAMES)}, found {listed}",
            "write them with MDSWriter(columns={'tokens': 'ndarray:uint16'}, ...)",
        )
    index = names.index(chosen)
    _, *details = encodings[index].split(":")
    found: str | None
    if kinds[chosen] == "bytes":
        found, has_shape = dtype or _BYTES, False
    else:
        found, has_shape = details[0] if details else None, len(details) < 2
    if found is not None and found not in DTYPES:
        raise DataError(f"{named}: expected ids of {', '.join(DTYPES)}, found {found}")
    return _Column(index, sizes, found, has_shape)


def _offsets(named: str, data: IdArray, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    count = int.from_bytes(data[:4].tobytes(), "little")
    offsets = np.frombuffer(data[4 : 4 + 4 * (count + 1)].tobytes(), "<u4").astype(np.int64)
    is_whole = len(offsets) == count + 1 and not (np.diff(offsets) < 0).any()
    if not is_whole or count != entry.get("samples") or offsets[-1] != len(data):
        raise DataError(f"{named}: the shard is incomplete", _AGAIN)
    return offsets


def _samples(
    named: str,
    path: Path,
    entry: dict[str, Any],
    column: _Column,
    decompress: Callable[[bytes], bytes] | None,
) -> Iterator[IdArray]:
    """Yield the ids of each sample."""
    if decompress is None:
        data: IdArray = np.memmap(path, np.uint8, "r")
    else:
        try:
            data = np.frombuffer(decompress(path.read_bytes()), np.uint8)
        except _DAMAGES as error:
            raise DataError(f"{named} cannot be read: {error}", _AGAIN) from error
    offsets = _offsets(named, data, entry).tolist()
    for start, end in itertools.pairwise(offsets):
        yield _array(named, data[start:end].tobytes(), column)


def _array(named: str, sample: bytes, column: _Column) -> IdArray:
    heads = iter(np.frombuffer(sample[: 4 * column.num_heads], "<u4").tolist())
    sizes = [next(heads) if size is None else size for size in column.sizes]
    start = 4 * column.num_heads + sum(sizes[: column.place])
    value = sample[start : start + sizes[column.place]]
    dtype, skip = column.dtype, 0
    if dtype is None:
        dtype, skip = _TYPES.get(value[0]), 1
        if dtype is None:
            raise DataError(f"{named}: expected ids of {', '.join(_TYPES.values())}")
    if column.has_shape:  # number of axes, and the width of a length as a power of 2
        axes, power = divmod(value[skip], 4)
        skip += 1 + axes * (1 << power)
    return np.frombuffer(value[skip:], f"<{np.dtype(dtype).str[1:]}")


def _zstd(data: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as stream:
        return stream.read()


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": _zstd, "gz": gzip.decompress, "bz2": bz2.decompress,
}  # fmt: skip
