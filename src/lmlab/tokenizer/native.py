"""Encoding by the kernels: a tokenizer's tables, and the buffers of one thread."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lmlab.tokenizer.kernels import layout
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.kinds import KINDS
from lmlab.tokenizer.kernels.library import Kernel, address, load
from lmlab.tokenizer.kernels.specials import pack

Array = np.ndarray[Any, np.dtype[Any]]

GROUP = "encoding"
PADDING = 64  # readable bytes that kernels want after a text
_ROOM = 1 << 12


class Tables:
    """What all threads share: merges, special tokens and classes, in the form kernels take.

    Args:
        kernels: the group :data:`GROUP`.
        pattern: one of :data:`~lmlab.tokenizer.kernels.kinds.KINDS`.
        vocab_size: decides whether ids take two bytes or four.
        byte_ids: id of each byte.
        merge_ids: left, right and resulting id of each merge, by rank.
        special_ids: id of each special token.
    """

    def __init__(
        self,
        kernels: dict[str, Kernel],
        *,
        pattern: str,
        vocab_size: int,
        byte_ids: Sequence[int],
        merge_ids: array[int],
        special_ids: Mapping[str, int],
    ) -> None:
        self.kernels = kernels
        self.kind = KINDS[pattern]
        self.vocab_size = vocab_size
        self.dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        self.classes = class_table()
        encoded = {token.encode("utf-8"): index for token, index in special_ids.items()}
        specials = sorted(encoded, key=len, reverse=True)
        self.special_numbers, self.special_text = pack(specials)
        self.special_ids = np.array([encoded[token] for token in specials], dtype=np.int64)
        self.byte_ids = np.array(byte_ids, dtype=np.int32)
        self.pairs, self.pair_mask = self._pairs(merge_ids)

    def _pairs(self, merge_ids: array[int]) -> tuple[Array, int]:
        rows = np.array(merge_ids, dtype=np.int64)
        count = len(rows) // 3
        size = 1 << (2 * count + 1).bit_length()
        pairs = np.empty(2 * size, dtype=np.uint64)
        self.kernels["fill_pairs"](address(rows), count, address(pairs), size - 1)
        return pairs, size - 1

    def cut(self, text: Array, end: int) -> int:
        """The last place before ``end`` where ``text``, which goes on, may be cut; -1 for none."""
        arrays = (self.classes, self.special_numbers, self.special_text)
        return self.kernels["cut"](address(text), 0, end, *map(address, arrays))


class Encoded(NamedTuple):
    """Ids of texts, and what was met in them.

    Attributes:
        ids: a view into the worker's buffer; the next call overwrites it.
        ends: how many ids there are up to the end of each text.
        special_bytes: bytes of text in special tokens.
        malformed: place of the first byte that is not UTF-8; None for none.
    """

    ids: Array
    ends: Array
    special_bytes: int
    malformed: int | None


class Worker:
    """The buffers of one thread, with the pre-tokens that it has met.

    Args:
        tables: of the tokenizer.
        lines: lines of the table of short pre-tokens, a power of two; 64 bytes each.
        longs: entries of that of long ones, a power of two; 160 bytes each.
    """

    def __init__(self, tables: Tables, *, lines: int = 1 << 18, longs: int = 1 << 13) -> None:
        self.tables = tables
        entry = layout.ENTRY * layout.ENTRIES_PER_LINE
        self._words = _aligned(lines * entry)
        self._longs = np.zeros(longs * layout.LONG_ENTRY, dtype=np.uint64)
        self._masks = lines - 1, longs - 1
        self._state = np.zeros(16, dtype=np.uint64)
        self._ends = np.empty(layout.ENDS_ROOM, dtype=np.int64)
        self._group = np.empty(layout.GROUP_ROOM, dtype=np.uint64)
        self._control = np.zeros(layout.CONTROL_SIZE, dtype=np.int64)
        self._out = np.empty(0, dtype=tables.dtype)
        self._make_room(_ROOM)

    def _make_room(self, room: int) -> None:
        self._heap = np.empty(3 * room, dtype=np.uint64)
        self._links = np.empty(3 * room, dtype=np.int32)
        self._room = room

    def encode(self, text: Array, starts: Array, out: Array | None = None) -> Encoded:
        """Encode texts that lie one behind the other.

        Args:
            text: uint8; ``PADDING`` bytes after the last text are readable.
            starts: int64; where each text begins, and the end of the last.
            out: where ids go: one for each byte and ``OUT_SLACK`` bytes more; None for a buffer of
                the worker's.
        """
        tables, control = self.tables, self._control
        needed = int(starts[-1] - starts[0]) + layout.OUT_SLACK
        if out is None:
            if len(self._out) < needed:
                self._out = np.empty(needed, dtype=tables.dtype)
            out = self._out
        assert len(out) >= needed
        id_ends = np.empty(len(starts) - 1, dtype=np.int64)
        first = (address(text), address(starts), len(id_ends))
        shared = (
            tables.classes, tables.special_numbers, tables.special_text, tables.special_ids,
            tables.byte_ids, tables.pairs,
        )  # fmt: skip
        shift = tables.dtype.itemsize // 2
        while tables.kernels["encode"](
            tables.kind, *first, *map(address, shared), tables.pair_mask,
            address(self._words), self._masks[0], address(self._longs), self._masks[1],
            address(self._heap), address(self._links), self._room,
            address(self._state), address(self._ends), address(self._group),
            address(out), shift, address(id_ends), address(control),
        ):  # fmt: skip
            self._make_room(2 * int(control[layout.NEEDED]))
        found = int(control[layout.MALFORMED_BYTE])
        return Encoded(
            out[: control[layout.NUM_IDS]],
            id_ends,
            int(control[layout.SPECIAL_BYTES]),
            found - 1 if found else None,
        )


def make_tables(**parts: Any) -> Tables | None:
    """The tables of a tokenizer, see :class:`Tables`; None where there are no kernels for it."""
    if parts["pattern"] not in KINDS:
        return None
    kernels = load(GROUP)
    return None if kernels is None else Tables(kernels, **parts)


def _aligned(size: int) -> Array:
    """Zeros whose first byte begins a line of the processor's cache."""
    padded = np.empty(size + 8, dtype=np.uint64)  # numpy asks for huge pages for these alone
    padded.fill(0)
    skip = -address(padded) // 8 % 8
    return padded[skip : skip + size]
