"""The head's product and the loss on a CPU, with a kernel of our own, where a run is compiled.

``softmax_gradients.cpp`` says how the kernel works, and :mod:`lmlab.nn.kernels.loss_op` what is around it.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from lmlab.nn.kernels.loss_op import define
from lmlab.runtime.cpp_extension import build_library

SOURCE = Path(__file__).with_name("softmax_gradients.cpp")
_library: ctypes.CDLL | None = None


def load_kernel(folder: Path) -> None:
    """Make :func:`chunked_cross_entropy` ready.

    Args:
        folder: where compiled kernels are kept.

    Raises:
        ConfigError: the compiler does not compile it.
    """
    global _library
    if _library is None:
        library = build_library(SOURCE, folder, {})
        function = library.softmax_gradients
        function.restype = ctypes.c_bool
        pointers = [ctypes.c_void_p] * 4
        function.argtypes = [ctypes.c_bool, *pointers, ctypes.c_float, ctypes.c_int]
        _library = library


def _replace(values: Tensor, targets: Tensor, losses: Tensor, factor: float) -> None:
    assert _library is not None, "call load_kernel() first"
    if not _library.softmax_gradients(
        values.dtype is torch.bfloat16,
        (ctypes.c_int64 * 2)(*values.shape),
        *(part.data_ptr() for part in (values, targets, losses)),
        factor,
        torch.get_num_threads(),
    ):
        raise MemoryError("the loss: there is no memory for the logits of one token")


chunked_cross_entropy = define("lmlab::compiled_cross_entropy", _replace)
