"""Encoding by kernels: the tables of a tokenizer and the buffers of one thread."""

from __future__ import annotations

import copy
import functools
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from lmlab.tokenizer.buffers import Memory, address
from lmlab.tokenizer.kernels import layout
from lmlab.tokenizer.kernels.classes import class_table
from lmlab.tokenizer.kernels.kinds import KINDS
from lmlab.tokenizer.kernels.library import Kernel, load
from lmlab.tokenizer.kernels.specials import pack
from lmlab.tokenizer.vocabulary import VocabularyIds

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

GROUP = "encoding"
_LONGEST_PRETOKEN = 1 << 12  # to begin with


class Tables:
    """The tables that all threads share: merges, special tokens, classes and encoded pre-tokens.

    Args:
        kernels: those of the group :data:`GROUP`.
        ids: the vocabulary, with a pattern in :data:`~lmlab.tokenizer.kernels.kinds.KINDS`.
        lines: lines of 64 bytes in the table of short pre-tokens; a power of two.
    """

    def __init__(
        self, kernels: dict[str, Kernel], ids: VocabularyIds, *, lines: int = 1 << 18
    ) -> None:
        self.kernels = kernels
        self.kind = KINDS[ids.pattern]
        self.vocab_size = ids.vocab_size
        self.id_bytes = ids.id_bytes
        self.classes = class_table()
        encoded = {token.encode("utf-8"): index for token, index in ids.special_ids.items()}
        self.specials = sorted(encoded, key=len, reverse=True)
        self.special_numbers, self.special_text = pack(self.specials)
        self.special_ids = array("q", [encoded[token] for token in self.specials])
        self.byte_ids = array("i", ids.byte_ids)
        self.pairs, self.pair_mask = self._pairs(ids.merge_ids)
        self.words = Memory(8 * lines * layout.ENTRY * layout.ENTRIES_PER_LINE)
        self.word_mask = lines - 1

    def _pairs(self, merge_ids: array[int]) -> tuple[Memory, int]:
        count = len(merge_ids) // 3
        size = max(1 << (2 * count + 1).bit_length(), 16)
        pairs = Memory(8 * size + size // 2 + 4 * count)
        self.kernels["fill_pairs"](address(merge_ids), count, pairs.address, size - 1)
        return pairs, size - 1

    def without_specials(self) -> Tables:
        """The same tables, for text in which special tokens are text."""
        plain = copy.copy(self)
        plain.specials = []
        plain.special_numbers, plain.special_text = pack([])
        plain.special_ids = array("q")
        return plain

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The type of ids."""
        import numpy as np  # here and below: not needed to write ids to a file

        return np.dtype(f"<u{self.id_bytes}")

    def cut(self, text: Any, end: int) -> int:
        """The last position before ``end`` where a text that continues may be cut; -1 for none."""
        arrays = (self.classes, self.special_numbers, self.special_text)
        return self.kernels["cut"](address(text), 0, end, *map(address, arrays))


class Encoded(NamedTuple):
    """The ids of texts.

    Attributes:
        out: the buffer of ids; the next call overwrites the worker's internal one.
        num_ids: number of ids.
        ends: number of ids up to the end of each text.
        special_bytes: bytes of text in special tokens.
        malformed: position of the first byte that is not UTF-8; None for none.
        id_bytes: bytes per id.
    """

    out: Any
    num_ids: int
    ends: array[int]
    special_bytes: int
    malformed: int | None
    id_bytes: int

    @property
    def data(self) -> memoryview:
        """The bytes of the ids, little-endian."""
        return memoryview(self.out).cast("B")[: self.num_ids * self.id_bytes]

    @property
    def ids(self) -> Array:
        """The ids as an array that shares the buffer."""
        import numpy as np

        return np.frombuffer(self.out, dtype=f"<u{self.id_bytes}", count=self.num_ids)


class Worker:
    """The buffers of one thread, with its table of long pre-tokens.

    Args:
        tables: the tokenizer's.
        long_entries: entries of 160 bytes in the table of long pre-tokens; a power of two.
    """

    def __init__(self, tables: Tables, *, long_entries: int = 1 << 13) -> None:
        self.tables = tables
        self._long_words = Memory(8 * long_entries * (1 + layout.LONG_ENTRY))
        self._long_mask = long_entries - 1
        self._state = Memory(8 * 16)
        self._ends = Memory(8 * layout.ENDS_CAPACITY)
        self._group = Memory(8 * layout.GROUP_CAPACITY)
        self._control = array("q", bytes(8 * layout.CONTROL_SIZE))
        self._out = Memory(0)
        self._allocate(_LONGEST_PRETOKEN)

    def _allocate(self, longest: int) -> None:
        """Make room to merge pre-tokens of up to ``longest`` bytes."""
        self._heap = Memory(8 * 3 * longest)
        self._links = Memory(4 * 3 * longest)
        self._longest_pretoken = longest

    def encode(self, text: Any, starts: Any, out: Any = None) -> Encoded:
        """Encode concatenated texts.

        Args:
            text: UTF-8 bytes in anything that :func:`~lmlab.tokenizer.buffers.address` accepts,
                with ``PADDING`` readable bytes after the last text.
            starts: int64; start of each text, and the end of the last.
            out: numpy array for the ids, with space for one id per byte of text and ``OUT_SLACK``
                ids more; None for the worker's internal buffer.
        """
        tables, control = self.tables, self._control
        needed = int(starts[-1] - starts[0]) + layout.OUT_SLACK
        if out is None and len(self._out) < needed * tables.id_bytes:
            self._out = Memory(needed * tables.id_bytes)
        target, view = (self._out, self._out.view) if out is None else (out, out)
        assert view.nbytes >= needed * tables.id_bytes
        id_ends = array("q", bytes(8 * (len(starts) - 1)))
        shared = (
            tables.classes, tables.special_numbers, tables.special_text, tables.special_ids,
            tables.byte_ids, tables.pairs,
        )  # fmt: skip
        while tables.kernels["encode"](
            tables.kind, address(text), address(starts), len(id_ends),
            *map(address, shared), tables.pair_mask,
            tables.words.address, tables.word_mask, self._long_words.address, self._long_mask,
            self._heap.address, self._links.address, self._longest_pretoken,
            self._state.address, self._ends.address, self._group.address,
            address(target), tables.id_bytes // 2, address(id_ends), address(control),
        ):  # fmt: skip
            self._allocate(2 * control[layout.NEEDED])
        malformed = control[layout.MALFORMED_BYTE]
        return Encoded(
            out=view,
            num_ids=control[layout.NUM_IDS],
            ends=id_ends,
            special_bytes=control[layout.SPECIAL_BYTES],
            malformed=malformed - 1 if malformed else None,
            id_bytes=tables.id_bytes,
        )


def make_tables(ids: VocabularyIds, **settings: Any) -> Tables | None:
    """The tables of a vocabulary; None where no kernels exist for it.

    Args:
        ids: the vocabulary.
        **settings: passed to :class:`Tables`.
    """
    too_large = ids.vocab_size > layout.MAX_IDS or len(ids.merge_ids) > 3 * layout.MAX_MERGES
    if too_large or ids.pattern not in KINDS:
        return None
    kernels = load(GROUP)
    return None if kernels is None else Tables(kernels, ids, **settings)
