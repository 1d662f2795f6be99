"""Write ids in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.data.token_formats.llmc import header_of
from lmlab.data.token_formats.megatron import index_of
from lmlab.errors import ConfigError
from lmlab.storage.io import atomic_write_bytes

IdArray = np.ndarray[Any, np.dtype[Any]]
_STEP = 1 << 22  # ids at once
_LARGEST_OF_16_BITS = 1 << 16
_MEGATRON_16_BITS = 65_500  # DType.optimal_dtype of megatron-core
_LONGEST = (1 << 31) - 1  # of an int32


def write_form(form: str, ids: IdArray, path: Path, *, vocab_size: int, end_id: int | None) -> None:
    """Write ids to ``path``, and for Megatron to the ``.idx`` beside it.

    Args:
        form: ``nanogpt``, ``llmc`` or ``megatron``.
        ids: (num_tokens,) ids in which ``end_id`` follows each document.
        path: the file.
        vocab_size: number of entries of the vocabulary.
        end_id: the end of text; None if the tokenizer has none.

    Raises:
        ConfigError: the form cannot hold the ids.
        DiskError: the disk is full or not writable.
    """
    check_form(form, vocab_size, end_id)
    _WRITERS[form](ids, path, vocab_size, end_id)


def check_form(form: str, vocab_size: int, end_id: int | None) -> None:
    """Raise :class:`ConfigError` where a form cannot hold the ids of a tokenizer."""
    if form == "nanogpt" and vocab_size > _LARGEST_OF_16_BITS:
        raise ConfigError(
            f"format=nanogpt: expected a vocabulary of at most {_LARGEST_OF_16_BITS:,}, since its "
            f"ids have 16 bits, found {vocab_size:,}",
            "write format=llmc or format=megatron",
        )
    if form != "nanogpt" and end_id is None:
        raise ConfigError(
            f"format={form}: expected a tokenizer with an end of text, which says where documents "
            "end",
            "train or export the tokenizer with a special token such as <|endoftext|>",
        )


def _nanogpt(ids: IdArray, path: Path, vocab_size: int, end_id: int | None) -> None:
    del vocab_size, end_id
    atomic_write_bytes(path, _parts(ids, "<u2"))


def _llmc(ids: IdArray, path: Path, vocab_size: int, end_id: int | None) -> None:
    """Move the end of text from the end of each document to its beginning."""
    assert end_id is not None
    dtype = "uint16" if vocab_size <= _LARGEST_OF_16_BITS else "uint32"
    if len(ids) and int(ids[-1]) == end_id:
        ids = ids[:-1]
    if len(ids) >= _LONGEST:
        raise ConfigError(
            f"format=llmc: expected fewer than {_LONGEST:,} ids in a file, found {len(ids):,}",
            "encode a part of the text per file",
        )

    def pieces() -> Iterator[bytes]:
        yield header_of(dtype, len(ids) + 1)
        yield np.array([end_id], dtype).tobytes()
        yield from _parts(ids, dtype)

    atomic_write_bytes(path, pieces())


def _megatron(ids: IdArray, path: Path, vocab_size: int, end_id: int | None) -> None:
    dtype = "uint16" if vocab_size < _MEGATRON_16_BITS else "int32"
    starts = range(0, len(ids), _STEP)
    ends = [np.flatnonzero(ids[start : start + _STEP] == end_id) + start + 1 for start in starts]
    boundaries = np.concatenate([*ends, [len(ids)]]).astype(np.int64)
    lengths = np.diff(boundaries, prepend=0)
    atomic_write_bytes(path, _parts(ids, dtype))
    # After the ids: an index that is there describes what is there.
    atomic_write_bytes(path.with_suffix(".idx"), index_of(dtype, lengths[lengths > 0]))


_WRITERS: dict[str, Callable[[IdArray, Path, int, int | None], None]] = {
    "nanogpt": _nanogpt, "llmc": _llmc, "megatron": _megatron,
}  # fmt: skip
FORMS = tuple(_WRITERS)


def _parts(ids: IdArray, dtype: str) -> Iterator[bytes]:
    for start in range(0, len(ids), _STEP):
        yield ids[start : start + _STEP].astype(dtype).tobytes()
