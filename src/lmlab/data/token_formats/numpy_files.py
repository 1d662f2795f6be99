"""Files with the suffix ``.npy``: of NumPy, and raw ones as OLMo's tools write them.

OLMo's files have no header of NumPy: they are memory maps. A table ``.csv.gz`` beside them has a
row per document: its first and its last id (exclusive), and what it is. Source: dolma 1.2.1,
``dolma/tokenizer/memmap_writer.py``.
"""

from __future__ import annotations

import csv
import functools
import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.data.id_shards import IdShard
from lmlab.data.token_formats.stored_ids import DTYPES, StoredIds, shard_to_the_end
from lmlab.errors import DataError

MAGIC = b"\x93NUMPY"
TABLE = ".csv.gz"


def open_array(named: str, path: Path) -> StoredIds:
    """Return the ids of an array of NumPy.

    Raises:
        DataError: it is no one-dimensional array of whole numbers, or incomplete.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{named}: the array cannot be read ({error})") from error
    dtype = np.dtype(array.dtype)
    if array.ndim != 1 or dtype.name not in DTYPES or dtype.byteorder == ">":
        raise DataError(
            f"{named}: expected a one-dimensional array of {', '.join(DTYPES)}, found "
            f"{dtype.str} {array.shape}",
            "write its ids in this form: numpy.save(PATH, ids.ravel().astype('uint32'))",
        )
    return StoredIds(IdShard(path, dtype.name, array.offset, len(array)), "NumPy")


def table_of(path: Path) -> Path:
    """Where OLMo's table of documents stands."""
    return path.with_suffix(TABLE)


def open_olmo(named: str, path: Path, dtype: str) -> StoredIds:
    """Return the ids of a raw file of OLMo.

    Args:
        named: the beginning of a message, such as ``data.train=a.npy``.
        path: the file of ids.
        dtype: name of the type of an id.

    Raises:
        DataError: the bytes are no multiple of the size of an id.
    """
    table = table_of(path)
    shard = shard_to_the_end(named, path, dtype)
    if not table.is_file():
        return StoredIds(shard, "raw .npy", is_raw=True)
    ends = functools.partial(_ends, named, table)
    return StoredIds(shard, "OLMo", is_raw=True, read_ends=ends, beside=(table,))


def _ends(named: str, table: Path) -> np.ndarray[Any, Any]:
    try:
        with gzip.open(table, "rt", encoding="utf-8", newline="") as file:
            return np.array([int(row[1]) for row in csv.reader(file)], np.int64)
    except (OSError, EOFError, ValueError, IndexError, csv.Error, zlib.error) as error:
        raise DataError(
            f"{named}: the table {table.name} cannot be read ({error})", "copy it again"
        ) from error
