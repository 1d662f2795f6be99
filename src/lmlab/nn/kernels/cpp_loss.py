"""The output head and the loss on a CPU in C++, for compiled runs.

See ``softmax_gradients.cpp`` for the kernel and :mod:`lmlab.nn.kernels.loss_op` for the operation
around it.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from lmlab.nn.kernels.loss_op import define_loss_op
from lmlab.runtime.cpp_extension import build_library

SOURCE = Path(__file__).with_name("softmax_gradients.cpp")
_library: ctypes.CDLL | None = None


def load_kernel(folder: Path) -> None:
    """Load the kernel of :func:`chunked_cross_entropy`, compiling it if necessary.

    Args:
        folder: folder of compiled libraries.

    Raises:
        ConfigError: the compiler rejects the source.
    """
    global _library
    if _library is None:
        library = build_library(SOURCE, folder, {})
        function = library.softmax_gradients
        function.restype = ctypes.c_bool
        pointers = [ctypes.c_void_p] * 4
        function.argtypes = [ctypes.c_bool, *pointers, ctypes.c_float, ctypes.c_int]
        _library = library


def _replace_logits(logits: Tensor, targets: Tensor, losses: Tensor, factor: float) -> None:
    assert _library is not None, "call load_kernel() first"
    if not _library.softmax_gradients(
        logits.dtype is torch.bfloat16,
        (ctypes.c_int64 * 2)(*logits.shape),
        *(part.data_ptr() for part in (logits, targets, losses)),
        factor,
        torch.get_num_threads(),
    ):
        raise MemoryError("loss: cannot allocate a buffer for the logits of one token")


chunked_cross_entropy = define_loss_op("lmlab::compiled_cross_entropy", _replace_logits)
