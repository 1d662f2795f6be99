"""Which format a file of ids has, by its content and by what stands beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lmlab.data.id_shards import IdShard
from lmlab.data.token_file import TokenFile, is_sidecar
from lmlab.data.token_formats import datatrove, llmc, megatron, numpy_files
from lmlab.data.token_formats.chunks import open_chunk
from lmlab.data.token_formats.stored_ids import StoredIds, shard_to_the_end
from lmlab.errors import DataError
from lmlab.records.file_kind import binary_format
from lmlab.storage.io import translate_read_errors

_HEAD_BYTES = 1 << 16
_SAMPLE = 1 << 16  # ids
_SHARE_OF_ZEROS = 0.99
_LARGEST_OF_16_BITS = 1 << 16


def recognize(key: str, path: Path, *, dtype: str | None, vocab_size: int) -> StoredIds:
    """Find the ids of a file.

    Args:
        key: the setting that names it, for messages.
        path: the file; of Megatron's pairs, either file or their common name.
        dtype: type of an id in a raw file; None takes uint16 where it holds the vocabulary,
            otherwise uint32.
        vocab_size: number of entries of the vocabulary.

    Raises:
        DataError: the file cannot be read, contradicts what describes it, or is of another kind.
    """
    named = f"{key}={path}"
    with translate_read_errors(named):
        found = _open(named, path, dtype, vocab_size)
        if found.shard.num_tokens and found.is_raw:
            _check_width(named, found.shard, vocab_size)
    return found


def _open(named: str, path: Path, dtype: str | None, vocab_size: int) -> StoredIds:
    if pair := megatron.find_pair(path):
        return megatron.open_megatron(named, *pair)
    if (chunk := open_chunk(named, path, dtype)) is not None:
        return chunk
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise DataError(f"{named}: the file is empty", "provide some ids")
    if llmc.is_llmc(head):
        return llmc.open_llmc(named, path)
    if datatrove.is_datatrove(path):
        return datatrove.open_datatrove(named, path)
    if head.startswith(numpy_files.MAGIC):
        return numpy_files.open_array(named, path)
    if is_sidecar(path.with_suffix(".json")):
        return _own(path)
    _refuse_other(named, head)
    if dtype is None:
        megatron.refuse_without_index(named, path)
        dtype = "uint16" if vocab_size <= _LARGEST_OF_16_BITS else "uint32"
    if path.suffix == ".npy" or numpy_files.table_of(path).is_file():
        return numpy_files.open_olmo(named, path, dtype)
    return StoredIds(shard_to_the_end(named, path, dtype), "raw", is_raw=True)


def _own(path: Path) -> StoredIds:
    """A token file of lmlab, which has a description beside it."""
    found = TokenFile.open(path)
    shard = IdShard(path, found.dtype, 0, found.num_tokens)
    return StoredIds(
        shard, "lmlab", end_id=found.end_id, tokenizer_hash=found.tokenizer_hash,
        beside=(path.with_suffix(".json"),),
    )  # fmt: skip


def _refuse_other(named: str, head: bytes) -> None:
    """Raise :class:`DataError` for text and for files that hold other things than ids."""
    if name := binary_format(head):
        raise DataError(
            f"{named}: expected token ids, found {name}",
            "decompress it if it holds ids; text is read with data=text",
        )
    try:
        head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8")
    except UnicodeDecodeError:
        return
    if not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head):  # ids below 256 have 0
        raise DataError(f"{named}: expected token ids, found text", "read it with data=text")


def _check_width(named: str, shard: IdShard, vocab_size: int) -> None:
    """Raise :class:`DataError` where raw ids seem to have another width."""
    sample = shard.ids()[:_SAMPLE]
    if sample.itemsize == 2 and len(sample) > 1 and len(sample) % 2 == 0:
        odd = np.count_nonzero(sample[1::2] == 0) / len(sample[1::2])
        even = np.count_nonzero(sample[::2] == 0) / len(sample[::2])
        if odd >= _SHARE_OF_ZEROS and even < _SHARE_OF_ZEROS:
            raise DataError(
                f"{named}: read as {shard.dtype}, every second id is 0, as in ids of 4 bytes",
                "set data.dtype=uint32",
            )
    if sample.itemsize == 4 and int(sample.max()) >= vocab_size:
        halves = sample.view("<u2")
        if int(halves.max()) < vocab_size:
            raise DataError(
                f"{named}: read as {shard.dtype}, the ids reach {int(sample.max()):,}, but "
                f"model.vocab_size={vocab_size}; as uint16 they are below it",
                "set data.dtype=uint16",
            )
