"""Memory that kernels work in. Without numpy, whose import takes longer than encoding 20 MB."""

from __future__ import annotations

import ctypes
import mmap
from array import array
from typing import Any

_WORTH_HUGE_PAGES = 1 << 22


class Memory:
    """Zeros, at a place that does not move and begins a line of the processor's cache.

    Args:
        num_bytes: how many; more than 4 MiB lie in huge pages where the system has them.

    Attributes:
        view: the bytes, to read and write.
        address: where they begin.
    """

    def __init__(self, num_bytes: int) -> None:
        pages = mmap.mmap(-1, max(num_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if num_bytes >= _WORTH_HUGE_PAGES and hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        self.view = memoryview(pages)[:num_bytes]
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(pages))

    def __len__(self) -> int:
        return len(self.view)


def address(room: Any) -> int:
    """Where the data of bytes, an array, numpy's array or :class:`Memory` begins.

    The caller keeps ``room`` for as long as the address is used.
    """
    if isinstance(room, Memory):
        return room.address
    if isinstance(room, bytes):
        return ctypes.cast(ctypes.c_char_p(room), ctypes.c_void_p).value or 0
    if isinstance(room, array):
        return room.buffer_info()[0]
    return int(room.__array_interface__["data"][0])
