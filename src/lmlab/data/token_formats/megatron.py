"""Megatron's token files: ``<name>.bin`` of ids, and ``<name>.idx`` with sequences and documents.

Of the index, in little-endian order: ``MMIDIDX``, two zero bytes, the version as uint64, a code of
the type as one byte, the number of sequences and the number of document indices as uint64; then the
length of each sequence as int32, its place in bytes as int64, and the sequence with which each
document begins as int64, and at last the number of sequences. Source: megatron-core 0.16.1,
``megatron/core/datasets/indexed_dataset.py``.
"""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lmlab.data.token_formats.stored_ids import StoredIds, check_count, shard_to_the_end
from lmlab.errors import DataError

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
VERSION = 1
# Codes of types; the others cannot hold the ids of a vocabulary.
TYPES = {4: "int32", 5: "int64", 8: "uint16"}
_WRITTEN = ("_document.bin", "_sentence.bin")  # names that preprocess_data.py gives


class _Index(NamedTuple):
    dtype: str
    lengths: np.ndarray[Any, Any]
    pointers: np.ndarray[Any, Any]
    documents: np.ndarray[Any, Any]


def find_pair(path: Path) -> tuple[Path, Path] | None:
    """Return ``.bin`` and ``.idx`` of what a path names: one of them, or both without a suffix.

    None where neither is Megatron's.
    """
    if path.suffix in (".bin", ".idx"):
        binary, index = path.with_suffix(".bin"), path.with_suffix(".idx")
    else:
        binary, index = path.with_name(f"{path.name}.bin"), path.with_name(f"{path.name}.idx")
    if path.exists() and path not in (binary, index):
        return None
    if _is_index(index):
        return binary, index
    return None


def _is_index(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def refuse_without_index(named: str, path: Path) -> None:
    """Raise :class:`DataError` for a name that Megatron gives to files that have an index."""
    if path.name.endswith(_WRITTEN):
        raise DataError(
            f"{named}: expected its index {path.with_suffix('.idx').name} beside it, by its name "
            "a file of Megatron",
            "copy the .idx file too, or set data.dtype to read it without",
        )


def open_megatron(named: str, binary: Path, index: Path) -> StoredIds:
    """Return the ids of a pair of files.

    Args:
        named: the beginning of a message, such as ``data.train=a.bin``.
        binary: the ids.
        index: the sequences and documents.

    Raises:
        DataError: a file is missing or incomplete, or its version or type is unknown.
    """
    if not binary.is_file():
        raise DataError(f"{named}: expected {binary.name} beside {index.name}", "copy it too")
    found = _read(named, index)
    shard = shard_to_the_end(named, binary, found.dtype)
    check_count(named, index.name, int(found.lengths.sum(dtype=np.int64)), shard)
    width = np.dtype(found.dtype).itemsize
    starts = np.cumsum(found.lengths, dtype=np.int64) - found.lengths
    if not np.array_equal(starts * width, found.pointers):
        raise DataError(
            f"{named}: expected sequences in a row, but {index.name} places them otherwise",
            "merge the files again",
        )
    ends = functools.partial(_document_ends, named, index)
    return StoredIds(shard, "Megatron", read_ends=ends, beside=(index,))


def _read(named: str, path: Path) -> _Index:
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise DataError(f"{named}: {path.name} is incomplete", "copy the file again")
    _, version, code, num_sequences, num_documents = HEADER.unpack(head)
    if version != VERSION:
        raise DataError(f"{named}: {path.name}: expected version {VERSION}, found {version}")
    if code not in TYPES:
        raise DataError(
            f"{named}: {path.name}: expected ids of {', '.join(TYPES.values())} (codes "
            f"{', '.join(map(str, TYPES))}), found code {code}"
        )
    size = path.stat().st_size
    expected = HEADER.size + 12 * num_sequences + 8 * num_documents
    # Multimodal sets have one byte more for each sequence.
    if size not in (expected, expected + num_sequences):
        raise DataError(
            f"{named}: {path.name}: expected {expected:,} bytes for {num_sequences:,} sequences, "
            f"found {size:,}",
            "copy the file again",
        )
    lengths = _mapped(path, "<i4", HEADER.size, num_sequences)
    pointers = _mapped(path, "<i8", HEADER.size + 4 * num_sequences, num_sequences)
    documents = _mapped(path, "<i8", HEADER.size + 12 * num_sequences, num_documents)
    return _Index(TYPES[code], lengths, pointers, documents)


def _mapped(path: Path, dtype: str, offset: int, count: int) -> np.ndarray[Any, Any]:
    return np.memmap(path, dtype, "r", offset, (count,)) if count else np.empty(0, dtype)


def _document_ends(named: str, path: Path) -> np.ndarray[Any, Any]:
    index = _read(named, path)
    ends = np.concatenate([[0], np.cumsum(index.lengths, dtype=np.int64)])
    return ends[index.documents[index.documents > 0]]


def index_of(dtype: str, lengths: np.ndarray[Any, Any]) -> list[bytes]:
    """Return an index in pieces, of one sequence per document.

    Args:
        dtype: name of the type of an id.
        lengths: ids of each document.
    """
    width = np.dtype(dtype).itemsize
    code = next(code for code, name in TYPES.items() if name == dtype)
    ends = np.cumsum(lengths, dtype=np.int64)
    return [
        HEADER.pack(MAGIC, VERSION, code, len(lengths), len(lengths) + 1),
        lengths.astype("<i4").tobytes(),
        ((ends - lengths) * width).astype("<i8").tobytes(),
        np.arange(len(lengths) + 1, dtype="<i8").tobytes(),
    ]
