"""Token files of llm.c and modded-nanogpt.

A header of 256 int32: a magic number, a version and the number of ids; then the ids. The end of
text stands before each document, and documents run on from shard to shard. Sources: llm.c's
``dev/data/data_common.py`` and ``llmc/dataloader.h``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lmlab.data.token_formats.stored_ids import StoredIds, check_count, shard_to_the_end
from lmlab.errors import DataError

HEADER_INTS = 256
HEADER_BYTES = 4 * HEADER_INTS
# Magic number -> name, version, type of an id, and the end of text of the tokenizer.
FORMS = {
    20240520: ("llm.c", 1, "uint16", 50256),
    20240801: ("llm.c for Llama 3", 7, "uint32", 128000),
}


def is_llmc(head: bytes) -> bool:
    """Whether a file that begins with ``head`` has a header of llm.c."""
    return int.from_bytes(head[:4], "little") in FORMS


def open_llmc(named: str, path: Path) -> StoredIds:
    """Return the ids of a file.

    Args:
        named: the beginning of a message, such as ``data.train=a.bin``.
        path: the file.

    Raises:
        DataError: its version is unknown, or it has another number of ids than it says.
    """
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        raise DataError(f"{named}: the header of llm.c is incomplete", "copy the file again")
    header = np.frombuffer(head, "<i4")
    form, version, dtype, end_id = FORMS[int(header[0])]
    if header[1] != version:
        raise DataError(
            f"{named}: expected version {version} of {form}'s token files, found {header[1]}",
            "write it again with a current version of the program",
        )
    shard = shard_to_the_end(named, path, dtype, HEADER_BYTES)
    check_count(named, "its header", int(header[2]), shard)
    return StoredIds(shard, form, end_id=end_id, is_before=True)


def header_of(dtype: str, num_tokens: int) -> bytes:
    """Return the header of a file with ``num_tokens`` ids of a type."""
    magic, version = next((m, v) for m, (_, v, found, _) in FORMS.items() if found == dtype)
    header = np.zeros(HEADER_INTS, "<i4")
    header[:3] = magic, version, num_tokens
    return header.tobytes()
