"""Where the ids of a file are, and what its format says of documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.data.id_shards import IdShard
from lmlab.errors import DataError

IdArray = np.ndarray[Any, np.dtype[Any]]
DTYPES = ("uint16", "uint32", "int32", "int64")


@dataclasses.dataclass(frozen=True)
class StoredIds:
    """The ids of a file.

    Attributes:
        shard: where they are.
        form: name of the format.
        is_raw: whether nothing in the file or beside it says how wide an id is.
        end_id: the id between documents, where the format has one.
        is_before: whether ``end_id`` stands before each document instead of after it.
        tokenizer_hash: of the tokenizer that made them, where it is known.
        read_ends: reads the numbers of ids up to the end of each document, increasing; None where
            no index says it.
        beside: further files that belong to it.
        unpack: writes the ids to a cache folder and returns where they are; until then
            :attr:`shard` has none. None where they stand in a row in the file.
    """

    shard: IdShard
    form: str
    is_raw: bool = False
    end_id: int | None = None
    is_before: bool = False
    tokenizer_hash: str | None = None
    read_ends: Callable[[], IdArray] | None = None
    beside: tuple[Path, ...] = ()
    unpack: Callable[[Path], IdShard] | None = None


def shard_to_the_end(named: str, path: Path, dtype: str, offset: int = 0) -> IdShard:
    """Return the ids from ``offset`` to the end of a file.

    Args:
        named: the beginning of a message, such as ``data.train=a.bin``.
        path: the file.
        dtype: name of the type of an id; bytes are in little-endian order.
        offset: bytes before the ids.

    Raises:
        DataError: the bytes are no multiple of the size of an id.
    """
    size = path.stat().st_size - offset
    width = np.dtype(dtype).itemsize
    if size % width:
        raise DataError(
            f"{named}: expected a multiple of {width} bytes for ids of {dtype}, found {size:,}",
            "the file is incomplete or of another type: see data.dtype",
        )
    return IdShard(path, dtype, offset, size // width)


def check_count(named: str, source: str, expected: int, shard: IdShard) -> None:
    """Raise :class:`DataError` unless a file has as many ids as its description says."""
    if expected != shard.num_tokens:
        raise DataError(
            f"{named}: expected {expected:,} ids by {source}, found {shard.num_tokens:,}",
            "copy or write the file again",
        )
