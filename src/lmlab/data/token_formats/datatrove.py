"""Token files of datatrove: ``<name>.ds``, ``<name>.ds.index`` and ``<name>.ds.metadata``.

The index holds the number of ids up to the end of each document, as uint64. The first line of the
metadata ends with the bytes of an id, the second is the number of ids. Source: datatrove 0.10.1,
``pipeline/tokens/tokenizer.py``.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.data.token_formats.stored_ids import StoredIds, check_count, shard_to_the_end
from lmlab.errors import DataError

INDEX, METADATA = ".index", ".metadata"
BESIDE = (INDEX, METADATA, ".loss")


def is_datatrove(path: Path) -> bool:
    """Whether an index or metadata stand beside a file."""
    return any(_beside(path, suffix).is_file() for suffix in (INDEX, METADATA))


def open_datatrove(named: str, path: Path) -> StoredIds:
    """Return the ids of a file.

    Args:
        named: the beginning of a message, such as ``data.train=a.ds``.
        path: the file of ids.

    Raises:
        DataError: what stands beside it does not fit, or cannot be read.
    """
    index, metadata = _beside(path, INDEX), _beside(path, METADATA)
    width, count = _metadata(named, metadata) if metadata.is_file() else (0, -1)
    last = -1
    if index.is_file() and index.stat().st_size:
        if index.stat().st_size % 8:
            raise DataError(f"{named}: {index.name} is incomplete", "copy the file again")
        last = int(_ends(index)[-1])
        width = width or path.stat().st_size // max(1, last)
    if width not in (2, 4):
        raise DataError(f"{named}: expected ids of 2 or 4 bytes, found {width}")
    shard = shard_to_the_end(named, path, f"uint{8 * width}")
    for source, expected in ((metadata, count), (index, last)):
        if expected >= 0:
            check_count(named, source.name, expected, shard)
    read_ends = functools.partial(_ends, index) if last >= 0 else None
    beside = tuple(file for file in (index, metadata) if file.is_file())
    return StoredIds(shard, "datatrove", read_ends=read_ends, beside=beside)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _metadata(named: str, path: Path) -> tuple[int, int]:
    try:
        first, second = path.read_text("utf-8").splitlines()[:2]
        return int(first.rpartition("|")[2]), int(second)
    except (OSError, ValueError) as error:
        raise DataError(f"{named}: {path.name} cannot be read ({error})") from error


def _ends(path: Path) -> np.ndarray[Any, Any]:
    return np.fromfile(path, "<u8").astype(np.int64)
