"""Memory for kernels, without numpy: importing it takes longer than encoding 20 MB."""

from __future__ import annotations

import ctypes
import mmap
from array import array
from typing import Any

PADDING = 64  # bytes after a text that kernels may read
_WORTH_HUGE_PAGES = 1 << 22


class Memory:
    """Zeroed memory at a fixed address, aligned to a cache line.

    Args:
        num_bytes: size; 4 MiB or more use huge pages where the system has them.

    Attributes:
        view: the bytes, readable and writable.
        address: address of the first byte.
    """

    def __init__(self, num_bytes: int) -> None:
        pages = mmap.mmap(-1, max(num_bytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if num_bytes >= _WORTH_HUGE_PAGES and hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        self.view = memoryview(pages)[:num_bytes]
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(pages))

    def __len__(self) -> int:
        return len(self.view)


def address(buffer: Any) -> int:
    """The address of the data of bytes, an array, a numpy array or a :class:`Memory`.

    Keep a reference to ``buffer`` for as long as you use the address.
    """
    if isinstance(buffer, Memory):
        return buffer.address
    if isinstance(buffer, bytes):
        return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0
    if isinstance(buffer, array):
        return buffer.buffer_info()[0]
    return int(buffer.__array_interface__["data"][0])
