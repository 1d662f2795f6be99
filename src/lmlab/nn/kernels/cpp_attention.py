"""Causal attention on a CPU in C++, for compiled runs.

Sums, softmax and rotation are float32. Under bf16, factors of products are bfloat16 if the CPU
supports it. See ``causal_attention.cpp`` for the algorithm.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmlab.nn import attention
from lmlab.nn.kernels.attention_op import define_attention_op, empty_token_major
from lmlab.nn.pos import Positions, RotaryTables, rotary_tables, score_bias
from lmlab.runtime.cpp_extension import build_library

SOURCE = Path(__file__).with_name("causal_attention.cpp")
_libraries: dict[int, ctypes.CDLL] = {}


def load_kernel(d_head: int, folder: Path) -> None:
    """Load the kernel for heads of width ``d_head``, compiling it if necessary.

    Args:
        d_head: K.
        folder: folder of compiled libraries.

    Raises:
        ConfigError: the compiler rejects the source.
    """
    if d_head not in _libraries:
        library = build_library(SOURCE, folder, {"WIDTH": d_head})
        for function in (library.attend, library.attend_backward):
            function.restype = ctypes.c_bool
            pointers = [ctypes.c_void_p] * 4
            function.argtypes = [ctypes.c_bool, *pointers, ctypes.c_int]
        _libraries[d_head] = library


def causal_attention(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, pos: Positions | None = None
) -> Tensor:
    """Compute :func:`lmlab.nn.attention.causal_attention`.

    Call :func:`load_kernel` for this head width first. The kernel itself applies rotary positions,
    so that no rotated queries and keys are saved for the backward pass. A position encoding that
    adds to the scores falls back to torch's kernel.
    """
    tables: RotaryTables | None = RotaryTables()
    if pos is not None:
        if score_bias(pos) is not None:
            return attention.causal_attention(q_BHTK, k_BGTK, v_BGTK, pos)
        tables = rotary_tables(pos, q_BHTK.shape[2])
    if tables is None:
        assert pos is not None
        q_BHTK, k_BGTK = pos.rotate(q_BHTK, None), pos.rotate(k_BGTK, None)
        tables = RotaryTables()
    output: Tensor = _operation(q_BHTK, k_BGTK, v_BGTK.to(q_BHTK.dtype), *tables)[0]
    return output


def _attend(
    q: Tensor, k: Tensor, v: Tensor, cos: Tensor | None, sin: Tensor | None
) -> tuple[Tensor, Tensor]:
    output, log_sums = _forward_fake(q, k, v, cos, sin)
    _call("attend", k.shape[1], (cos, sin), (q, k, v), (output, log_sums[..., None]))
    return output, log_sums


def _attend_backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, cos: Tensor | None, sin: Tensor | None,
    output: Tensor, log_sums: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    gradients = _backward_fake(gradient, q, k, v, cos, sin, output, log_sums)
    inputs = (gradient, q, k, v, output, log_sums[..., None])
    _call("attend_backward", k.shape[1], (cos, sin), inputs, gradients)
    return gradients


def _call(
    name: str,
    groups: int,
    tables: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> None:
    batch, heads, tokens, width = outputs[0].shape
    tensors = [x if x.stride(-1) == 1 else x.contiguous() for x in inputs] + list(outputs)
    sizes = (ctypes.c_int64 * 4)(batch, heads, groups, tokens)
    rotation = (ctypes.c_void_p * 2)(
        *(None if table is None else table.data_ptr() for table in tables)
    )
    data = (ctypes.c_void_p * len(tensors))(*(x.data_ptr() for x in tensors))
    strides: Any = (ctypes.c_int64 * (3 * len(tensors)))(*(
        stride for x in tensors for stride in x.stride()[:3]
    ))  # fmt: skip
    function = getattr(_libraries[width], name)
    if not function(
        outputs[0].dtype is torch.bfloat16, sizes, rotation, data, strides, torch.get_num_threads()
    ):
        raise MemoryError("attention: cannot allocate a buffer for the keys and values of one head")


def _forward_fake(
    q: Tensor, k: Tensor, v: Tensor, cos: Tensor | None, sin: Tensor | None
) -> tuple[Tensor, Tensor]:
    return empty_token_major(q), q.new_empty(q.shape[:3], dtype=torch.float32)


def _backward_fake(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, cos: Tensor | None, sin: Tensor | None,
    output: Tensor, log_sums: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return empty_token_major(q), empty_token_major(k), empty_token_major(v)


_operation, _backward_operation = define_attention_op(
    "lmlab::compiled_causal_attention",
    _attend,
    _attend_backward,
    forward_fake=_forward_fake,
    backward_fake=_backward_fake,
)
