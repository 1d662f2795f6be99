"""Encoding by the kernels: a tokenizer's tables, and the buffers of one thread."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lmlab.tokenizer.buffers import Memory, address
from lmlab.tokenizer.kernels import layout
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.kinds import KINDS
from lmlab.tokenizer.kernels.library import Kernel, load
from lmlab.tokenizer.kernels.specials import pack

if TYPE_CHECKING:
    import numpy as np

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
        lines: lines of the table of short pre-tokens, a power of two; 64 bytes each.
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
        lines: int = 1 << 18,
    ) -> None:
        self.kernels = kernels
        self.kind = KINDS[pattern]
        self.vocab_size = vocab_size
        self.id_bytes = 2 if vocab_size <= 1 << 16 else 4
        self.classes = class_table()
        encoded = {token.encode("utf-8"): index for token, index in special_ids.items()}
        specials = sorted(encoded, key=len, reverse=True)
        self.special_numbers, self.special_text = pack(specials)
        self.special_ids = array("q", [encoded[token] for token in specials])
        self.byte_ids = array("i", byte_ids)
        self.pairs, self.pair_mask = self._pairs(merge_ids)
        self.words = Memory(8 * lines * layout.ENTRY * layout.ENTRIES_PER_LINE)
        self.word_mask = lines - 1

    def _pairs(self, merge_ids: array[int]) -> tuple[Memory, int]:
        count = len(merge_ids) // 3
        size = max(1 << (2 * count + 1).bit_length(), 16)
        pairs = Memory(8 * size + size // 2 + 4 * count)
        self.kernels["fill_pairs"](address(merge_ids), count, pairs.address, size - 1)
        return pairs, size - 1

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of ids."""
        import numpy as np  # here and below: not for whoever writes them to a file

        return np.dtype(f"<u{self.id_bytes}")

    def cut(self, text: Any, end: int) -> int:
        """The last place before ``end`` where ``text``, which goes on, may be cut; -1 for none."""
        arrays = (self.classes, self.special_numbers, self.special_text)
        return self.kernels["cut"](address(text), 0, end, *map(address, arrays))


class Encoded(NamedTuple):
    """Ids of texts, and what was met in them.

    Attributes:
        out: where the ids are; those of a worker's own buffer are overwritten by the next call.
        num_ids: how many.
        ends: how many ids there are up to the end of each text.
        special_bytes: bytes of text in special tokens.
        malformed: place of the first byte that is not UTF-8; None for none.
        id_bytes: of each id.
    """

    out: Any
    num_ids: int
    ends: array[int]
    special_bytes: int
    malformed: int | None
    id_bytes: int

    @property
    def data(self) -> memoryview:
        """The ids' bytes, little-endian."""
        return memoryview(self.out).cast("B")[: self.num_ids * self.id_bytes]

    @property
    def ids(self) -> Array:
        """A view of the ids."""
        import numpy as np

        return np.frombuffer(self.out, dtype=f"<u{self.id_bytes}", count=self.num_ids)


class Worker:
    """The buffers of one thread, with the pre-tokens that it has met.

    Args:
        tables: of the tokenizer.
        longs: entries of the table of long pre-tokens, a power of two; 160 bytes each.
    """

    def __init__(self, tables: Tables, *, longs: int = 1 << 13) -> None:
        self.tables = tables
        self._longs = Memory(8 * longs * (1 + layout.LONG_ENTRY))
        self._long_mask = longs - 1
        self._state = Memory(8 * 16)
        self._ends = Memory(8 * layout.ENDS_ROOM)
        self._group = Memory(8 * layout.GROUP_ROOM)
        self._control = array("q", bytes(8 * layout.CONTROL_SIZE))
        self._out = Memory(0)
        self._make_room(_ROOM)

    def _make_room(self, room: int) -> None:
        self._heap = Memory(8 * 3 * room)
        self._links = Memory(4 * 3 * room)
        self._fake = room

    def encode(self, text: Any, starts: Any, out: Any = None) -> Encoded:
        """Encode texts that lie one behind the other.

        Args:
            text: bytes, in anything that :func:`~lmlab.tokenizer.buffers.address` takes; ``PADDING``
                bytes after the last text are readable.
            starts: int64; where each text begins, and the end of the last.
            out: numpy's array, where ids go: one for each byte and ``OUT_SLACK`` bytes more; None
                for a buffer of the worker's.
        """
        tables, control = self.tables, self._control
        needed = int(starts[-1] - starts[0]) + layout.OUT_SLACK
        if out is None and len(self._out) < needed * tables.id_bytes:
            self._out = Memory(needed * tables.id_bytes)
        room, view = (self._out, self._out.view) if out is None else (out, out)
        assert view.nbytes >= needed * tables.id_bytes
        id_ends = array("q", bytes(8 * (len(starts) - 1)))
        shared = (
            tables.classes, tables.special_numbers, tables.special_text, tables.special_ids,
            tables.byte_ids, tables.pairs,
        )  # fmt: skip
        while tables.kernels["encode"](
            tables.kind, address(text), address(starts), len(id_ends),
            *map(address, shared), tables.pair_mask,
            tables.words.address, tables.word_mask, self._longs.address, self._long_mask,
            self._heap.address, self._links.address, self._fake,
            self._state.address, self._ends.address, self._group.address,
            address(room), tables.id_bytes // 2, address(id_ends), address(control),
        ):  # fmt: skip
            self._make_room(2 * control[layout.NEEDED])
        found = control[layout.MALFORMED_BYTE]
        return Encoded(
            out=view,
            num_ids=control[layout.NUM_IDS],
            ends=id_ends,
            special_bytes=control[layout.SPECIAL_BYTES],
            malformed=found - 1 if found else None,
            id_bytes=tables.id_bytes,
        )


def make_tables(**parts: Any) -> Tables | None:
    """The tables of a tokenizer, see :class:`Tables`; None where there are no kernels for it."""
    many = parts["vocab_size"] > layout.MOST_IDS or len(parts["merge_ids"]) > 3 * layout.MOST_MERGES
    if many or parts["pattern"] not in KINDS:
        return None
    kernels = load(GROUP)
    return None if kernels is None else Tables(kernels, **parts)
