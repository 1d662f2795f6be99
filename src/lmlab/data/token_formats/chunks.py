"""Folders of chunks with an ``index.json``: of litdata and of MDS (mosaicml-streaming)."""

from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath
from typing import Any

from lmlab.data.token_formats import litdata, mds
from lmlab.data.token_formats.stored_ids import StoredIds
from lmlab.errors import DataError
from lmlab.storage.io import file_state, read_json

INDEX = "index.json"


def read_index(folder: Path) -> dict[str, Any] | None:
    """Return the index of a folder of chunks; None for other folders."""
    try:
        content = read_json(folder / INDEX)
    except (OSError, ValueError):
        return None
    is_index = isinstance(content, dict) and isinstance(
        content.get("chunks", content.get("shards")), list
    )
    return content if is_index else None


def chunks_of(key: str, folder: Path, index: dict[str, Any]) -> list[Path]:
    """Return the chunks in order.

    Raises:
        DataError: one is missing, or outside the folder.
    """
    found = []
    for entry in _entries(index):
        names = _names(entry)
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None or any(".." in PurePosixPath(name).parts for name in names):
            raise DataError(
                f"{key}={folder}: expected {' or '.join(names) or 'a name of each chunk'}, as "
                f"{INDEX} says",
                "copy or download the folder again",
            )
        found.append(path)
    if not found:
        raise DataError(f"{key}={folder}: {INDEX} lists no chunks", "give another folder")
    return found


def open_chunk(named: str, path: Path, dtype: str | None) -> StoredIds | None:
    """Return the ids of a chunk that the index beside it lists; None for other files.

    Args:
        named: the beginning of a message, such as ``data.train=chunk-0-0.bin``.
        path: the file.
        dtype: type of an id where a column of MDS holds bytes; None: int64.

    Raises:
        DataError: it does not hold ids, is incomplete, or compressed in an unknown way.
    """
    for folder in (path.parent, path.parent.parent):  # merged sets of MDS have folders inside
        try:
            index, by_path = _by_path(folder, file_state(folder / INDEX))
        except OSError:
            continue
        if (entry := by_path.get(path)) is None:
            continue
        if "chunks" in index:
            return litdata.open_chunk(named, path, index.get("config"), entry)
        return mds.open_shard(named, path, entry, dtype)
    return None


@functools.lru_cache(maxsize=4)
def _by_path(
    folder: Path, state: tuple[int, ...]
) -> tuple[dict[str, Any], dict[Path, dict[str, Any]]]:
    """The index of a folder, and its entries by the files that they may name."""
    del state  # another one is read again
    index = read_index(folder) or {}
    return index, {folder / name: entry for entry in _entries(index) for name in _names(entry)}


def _entries(index: dict[str, Any]) -> list[dict[str, Any]]:
    found = index.get("chunks", index.get("shards", []))
    return [entry for entry in found if isinstance(entry, dict)]


def _names(entry: dict[str, Any]) -> list[str]:
    """The names that a chunk may have: the second is that of its compressed form."""
    if "filename" in entry:
        return [str(entry["filename"])]
    forms = (entry.get("raw_data"), entry.get("zip_data"))
    return [str(form["basename"]) for form in forms if isinstance(form, dict)]
