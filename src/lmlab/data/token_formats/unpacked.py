"""Ids that do not stand in a row in their file, written to the cache once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from lmlab.data.id_shards import IdShard
from lmlab.data.token_formats.stored_ids import IdArray
from lmlab.errors import DataError
from lmlab.storage.io import atomic_write_bytes, file_state, hash_json, make_folder

_VERSION = 1


def unpacked(
    named: str, path: Path, dtype: str, parts: Callable[[], Iterable[IdArray]], cache_dir: Path
) -> IdShard:
    """Return the ids of a file in a row, from the cache if they were written for this state of it.

    Args:
        named: the beginning of a message.
        path: the file.
        dtype: name of the type of an id; 64-bit ids are written as 32-bit ones.
        parts: returns the ids in parts.
        cache_dir: the cache folder.

    Raises:
        DataError: an id needs more than 32 bits, or a part cannot be read.
        DiskError: the disk is full or not writable.
    """
    written = "uint32" if np.dtype(dtype).itemsize == 8 else dtype
    key = hash_json([_VERSION, str(path.resolve()), list(file_state(path)), dtype])
    target = cache_dir / "ids" / f"{key[:32]}.bin"
    if not target.is_file():
        make_folder(target.parent)
        atomic_write_bytes(target, _checked(named, parts, written))
    return IdShard(target, written, 0, target.stat().st_size // np.dtype(written).itemsize)


def _checked(named: str, parts: Callable[[], Iterable[IdArray]], dtype: str) -> Iterator[bytes]:
    limit = np.iinfo(dtype)
    for part in parts():
        if len(part) and not (limit.min <= int(part.min()) and int(part.max()) <= limit.max):
            raise DataError(
                f"{named}: expected ids of {dtype}, found {int(part.min())} to {int(part.max())}",
                "the column holds other numbers, or ids of another type: see data.dtype",
            )
        yield part.astype(f"<{np.dtype(dtype).str[1:]}").tobytes()
