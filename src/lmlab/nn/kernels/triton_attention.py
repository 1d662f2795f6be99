"""Causal attention over short sequences on a GPU in Triton, for compiled bf16 runs.

Torch's fused kernels are made for wide heads and long sequences. These kernels read the fused
product of queries, keys and values in its memory layout, apply rotary positions themselves, and
write gradients in the same layout, so that nothing is copied. Products are bfloat16 with float32
sums; softmax and rotation are float32.

The forward pass is algorithm 1 of Dao 2023 (FlashAttention-2). The backward pass is algorithm 2
with one program for all blocks of a head. This program alone sums the gradients of the queries, so
the order of the sums is fixed and results repeat bit for bit; long sequences would be slow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lmlab.nn.attention import causal_attention
from lmlab.nn.kernels.vmap_rule import register_vmap_rule
from lmlab.nn.pos import Positions, rotary_tables, score_bias

HEAD_WIDTHS = (32, 64)
MAX_TOKENS = 256  # for longer sequences torch's kernels are faster


@dataclasses.dataclass(frozen=True)
class Tiling:
    """Tile sizes and launch options of a kernel."""

    rows: int
    keys: int
    num_warps: int
    num_stages: int
    maxnreg: int | None = None

    def options(self) -> dict[str, Any]:
        """Return them as keyword arguments of a kernel launch."""
        options: dict[str, Any] = {"num_warps": self.num_warps, "num_stages": self.num_stages}
        if self.maxnreg is not None:
            options["maxnreg"] = self.maxnreg
        return {"ROWS": self.rows, "KEYS": self.keys, **options}


# The fastest of many on an H200: three programs per multiprocessor fit its registers.
FORWARD, BACKWARD = Tiling(64, 64, 4, 2), Tiling(64, 64, 4, 3, 168)


def supports(d_head: int, num_tokens: int) -> bool:
    """Whether the kernels support heads of this width and sequences of this length."""
    return d_head in HEAD_WIDTHS and num_tokens <= MAX_TOKENS


def fused_qkv_attention(qkv_BTJ: Tensor, num_heads: int, d_head: int, pos: Positions) -> Tensor:
    """Return causal attention with concatenated heads: (B, T, H K).

    Args:
        qkv_BTJ: concatenated queries, keys and values, J = (H + 2 G) K.
        num_heads: H.
        d_head: K.
        pos: the position encoding; one that rotates without tables or adds to the scores falls back
            to torch's kernel.
    """
    tables = rotary_tables(pos, qkv_BTJ.shape[1])
    if tables is None or score_bias(pos) is not None:
        parts = qkv_BTJ.unflatten(-1, (-1, d_head)).transpose(1, 2)
        groups = (parts.shape[1] - num_heads) // 2
        q_BHTK, k_BGTK, v_BGTK = parts.split([num_heads, groups, groups], 1)
        output_BHTK = causal_attention(q_BHTK, k_BGTK, v_BGTK, pos)
        return output_BHTK.transpose(1, 2).flatten(2)
    output: Tensor = _operation(qkv_BTJ, *tables, num_heads, d_head)[0]
    return output


@triton.jit
def _load(base, rows, columns, stride, tokens):
    """Load rows of a head, with zeros past its last token; columns are contiguous."""
    pointers = base + rows[:, None] * stride + columns[None, :]
    return tl.load(pointers, mask=rows[:, None] < tokens, other=0.0)


@triton.jit
def _store(base, rows, columns, stride, tokens, values):
    pointers = base + rows[:, None] * stride + columns[None, :]
    tl.store(pointers, values.to(base.dtype.element_ty), mask=rows[:, None] < tokens)


@triton.jit
def _load_rotated(base, cos, sin, rows, stride, tokens, ROTATE: tl.constexpr, HALF: tl.constexpr):
    """Load both halves of the rows' features, rotated to their positions."""
    columns = tl.arange(0, HALF)
    first = _load(base, rows, columns, stride, tokens)
    second = _load(base + HALF, rows, columns, stride, tokens)
    if ROTATE:
        # The second half of the tables repeats the first, except for the sign of the sine.
        c = _load(cos, rows, columns, 2 * HALF, tokens)
        s = _load(sin + HALF, rows, columns, 2 * HALF, tokens)
        rotated = first * c - second * s
        second = (second * c + first * s).to(first.dtype)
        first = rotated.to(first.dtype)
    return first, second


@triton.jit
def _rotate(
    base, to, cos, sin, rows, stride, tokens, ROTATE: tl.constexpr, HALF: tl.constexpr
):  # fmt: skip
    first, second = _load_rotated(base, cos, sin, rows, stride, tokens, ROTATE, HALF)
    columns = tl.arange(0, HALF)
    _store(to, rows, columns, stride, tokens, first)
    _store(to + HALF, rows, columns, stride, tokens, second)


@triton.jit
def _store_unrotated(
    base, cos, sin, rows, stride, tokens, values,
    ROTATE: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Write gradients of the inputs of :func:`_load_rotated`, given those of its results."""
    if ROTATE:
        columns = tl.arange(0, HALF)
        first, second = tl.split(tl.permute(tl.reshape(values, [ROWS, 2, HALF]), [0, 2, 1]))
        c = _load(cos, rows, columns, 2 * HALF, tokens)
        s = _load(sin + HALF, rows, columns, 2 * HALF, tokens)
        _store(base, rows, columns, stride, tokens, first * c + second * s)
        _store(base + HALF, rows, columns, stride, tokens, second * c - first * s)
    else:
        _store(base, rows, tl.arange(0, 2 * HALF), stride, tokens, values)


@triton.jit
def _forward(
    qkv, cos, sin, output, log_sums, heads, groups, tokens, scale,
    ROTATE: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Compute a block of queries of one head; ``scale`` turns scores into exponents of 2."""
    WIDTH: tl.constexpr = 2 * HALF
    head = tl.program_id(1) % heads
    sequence = (tl.program_id(1) // heads).to(tl.int64)
    stride, output_stride = (heads + 2 * groups) * WIDTH, heads * WIDTH
    q = qkv + sequence * tokens * stride + head * WIDTH
    k = qkv + sequence * tokens * stride + (heads + head // (heads // groups)) * WIDTH
    v = k + groups * WIDTH
    output += sequence * tokens * output_stride + head * WIDTH
    log_sums += (sequence * heads + head) * tokens
    start = tl.program_id(0) * ROWS
    rows = start + tl.arange(0, ROWS)
    columns = tl.arange(0, WIDTH)
    q_first, q_second = _load_rotated(q, cos, sin, rows, stride, tokens, ROTATE, HALF)
    running_max = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, WIDTH], tl.float32)
    for first_key in range(0, start + ROWS, KEYS):
        keys = first_key + tl.arange(0, KEYS)
        k_first, k_second = _load_rotated(k, cos, sin, keys, stride, tokens, ROTATE, HALF)
        scores = tl.dot(q_first, tl.trans(k_first))
        scores = tl.dot(q_second, tl.trans(k_second), scores)
        if first_key + KEYS > start:  # also masks keys past the last token
            scores = tl.where(rows[:, None] >= keys[None, :], scores, float("-inf"))
        new_max = tl.maximum(running_max, tl.max(scores, 1) * scale)
        rescale = tl.exp2(running_max - new_max)
        weights = tl.exp2(scores * scale - new_max[:, None])
        total = total * rescale + tl.sum(weights, 1)
        values = _load(v, keys, columns, stride, tokens)
        sums = tl.dot(weights.to(values.dtype), values, sums * rescale[:, None])
        running_max = new_max
    _store(output, rows, columns, output_stride, tokens, sums / total[:, None])
    tl.store(log_sums + rows, running_max + tl.log2(total), mask=rows < tokens)


@triton.jit
def _backward(
    gradient, qkv, cos, sin, output, log_sums, qkv_gradient, queries, dots,
    heads, groups, tokens, scale,
    ROTATE: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of a key/value head and of all query heads that share it.

    ``queries`` (B, H, T, K) accumulates the gradients of the queries, and ``dots`` (B, H, T) holds
    the product of each token's output with its gradient. Both are float32 and belong to this kernel
    alone. ``log_sums`` are logarithms to base 2. Until the gradients are final, ``qkv_gradient``
    holds the rotated queries and keys, so that they are rotated once.
    """
    WIDTH: tl.constexpr = 2 * HALF
    LOG2E: tl.constexpr = 1.4426950408889634
    sequence = (tl.program_id(0) // groups).to(tl.int64)
    group = tl.program_id(0) % groups
    heads_per_group = heads // groups
    stride, output_stride = (heads + 2 * groups) * WIDTH, heads * WIDTH
    qkv += sequence * tokens * stride
    qkv_gradient += sequence * tokens * stride
    gradient += sequence * tokens * output_stride
    output += sequence * tokens * output_stride
    log_sums += sequence * heads * tokens
    dots += sequence * heads * tokens
    queries += sequence * heads * tokens * WIDTH
    key_offset, value_offset = (heads + group) * WIDTH, (heads + groups + group) * WIDTH
    columns = tl.arange(0, WIDTH)

    for start in range(0, tokens, ROWS):
        rows = start + tl.arange(0, ROWS)
        for head in range(group * heads_per_group, (group + 1) * heads_per_group):
            _rotate(
                qkv + head * WIDTH, qkv_gradient + head * WIDTH, cos, sin, rows, stride, tokens,
                ROTATE, HALF,
            )  # fmt: skip
            upstream = _load(gradient + head * WIDTH, rows, columns, output_stride, tokens)
            result = _load(output + head * WIDTH, rows, columns, output_stride, tokens)
            dot = tl.sum(upstream.to(tl.float32) * result.to(tl.float32), 1)
            tl.store(dots + head * tokens + rows, dot, mask=rows < tokens)
        _rotate(
            qkv + key_offset, qkv_gradient + key_offset, cos, sin, rows, stride, tokens, ROTATE,
            HALF,
        )  # fmt: skip
    tl.debug_barrier()

    for first_key in range(0, tokens, KEYS):
        keys = first_key + tl.arange(0, KEYS)
        k = _load(qkv_gradient + key_offset, keys, columns, stride, tokens)
        v = _load(qkv + value_offset, keys, columns, stride, tokens)
        dk = tl.zeros([KEYS, WIDTH], tl.float32)
        dv = tl.zeros([KEYS, WIDTH], tl.float32)
        for head in range(group * heads_per_group, (group + 1) * heads_per_group):
            query_gradients = queries + head * tokens * WIDTH
            for start in range(first_key // ROWS * ROWS, tokens, ROWS):
                rows = start + tl.arange(0, ROWS)
                q = _load(qkv_gradient + head * WIDTH, rows, columns, stride, tokens)
                upstream = _load(gradient + head * WIDTH, rows, columns, output_stride, tokens)
                sums = tl.load(log_sums + head * tokens + rows, mask=rows < tokens, other=0.0)
                dot = tl.load(dots + head * tokens + rows, mask=rows < tokens, other=0.0)
                scores = tl.dot(q, tl.trans(k))
                weights = tl.exp2(scores * (scale * LOG2E) - sums[:, None])
                if first_key + KEYS > start:
                    weights = tl.where(rows[:, None] >= keys[None, :], weights, 0.0)
                # Rows past the last token have zero gradients and add nothing.
                dv = tl.dot(tl.trans(weights.to(upstream.dtype)), upstream, dv)
                weight_gradient = tl.dot(upstream, tl.trans(v))
                score_gradient = weights * (weight_gradient - dot[:, None]) * scale
                score_gradient = score_gradient.to(upstream.dtype)
                dk = tl.dot(tl.trans(score_gradient), q, dk)
                dq = tl.dot(score_gradient, k)
                if first_key > 0:
                    dq += _load(query_gradients, rows, columns, WIDTH, tokens)
                if first_key + KEYS >= tl.minimum(start + ROWS, tokens):  # dq is final
                    tl.debug_barrier()  # all threads read `q` before its gradient overwrites it
                    _store_unrotated(
                        qkv_gradient + head * WIDTH, cos, sin, rows, stride, tokens, dq,
                        ROTATE, HALF, ROWS,
                    )  # fmt: skip
                else:
                    _store(query_gradients, rows, columns, WIDTH, tokens, dq)
        _store_unrotated(
            qkv_gradient + key_offset, cos, sin, keys, stride, tokens, dk, ROTATE, HALF, KEYS
        )
        _store(qkv_gradient + value_offset, keys, columns, stride, tokens, dv)
        tl.debug_barrier()


@torch.library.custom_op("lmlab::triton_attention", mutates_args=())
def _operation(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, heads: int, width: int
) -> tuple[Tensor, Tensor]:
    qkv = qkv.contiguous()
    output, log_sums = _forward_fake(qkv, cos, sin, heads, width)
    batch, tokens, all_widths = qkv.shape
    groups = (all_widths // width - heads) // 2
    _forward[(triton.cdiv(tokens, FORWARD.rows), batch * heads)](
        qkv, cos, sin, output, log_sums, heads, groups, tokens, width**-0.5 * 1.4426950408889634,
        ROTATE=cos is not None, HALF=width // 2, **FORWARD.options(),
    )  # fmt: skip
    return output, log_sums


@_operation.register_fake
def _forward_fake(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, heads: int, width: int
) -> tuple[Tensor, Tensor]:
    batch, tokens, _ = qkv.shape
    output = qkv.new_empty(batch, tokens, heads * width)
    return output, qkv.new_empty(batch, heads, tokens, dtype=torch.float32)


@torch.library.custom_op("lmlab::triton_attention_backward", mutates_args=())
def _backward_operation(
    gradient: Tensor, qkv: Tensor, cos: Tensor | None, sin: Tensor | None, output: Tensor,
    log_sums: Tensor, heads: int, width: int,
) -> Tensor:  # fmt: skip
    gradient, qkv, output = (part.contiguous() for part in (gradient, qkv, output))
    batch, tokens, all_widths = qkv.shape
    groups = (all_widths // width - heads) // 2
    qkv_gradient = torch.empty_like(qkv)
    queries = qkv.new_empty(batch, heads, tokens, width, dtype=torch.float32)
    _backward[(batch * groups,)](
        gradient, qkv, cos, sin, output, log_sums, qkv_gradient, queries,
        torch.empty_like(log_sums), heads, groups, tokens, width**-0.5,
        ROTATE=cos is not None, HALF=width // 2, **BACKWARD.options(),
    )  # fmt: skip
    return qkv_gradient


@_backward_operation.register_fake
def _backward_fake(
    gradient: Tensor, qkv: Tensor, cos: Tensor | None, sin: Tensor | None, output: Tensor,
    log_sums: Tensor, heads: int, width: int,
) -> Tensor:  # fmt: skip
    return qkv.new_empty(qkv.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.heads, ctx.width = inputs
    ctx.save_for_backward(*tensors, *output)


def _autograd_backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    qkv_gradient = _backward_operation(gradient, *ctx.saved_tensors, ctx.heads, ctx.width)
    return qkv_gradient, None, None, None, None


_operation.register_autograd(_autograd_backward, setup_context=_setup_context)
register_vmap_rule(_operation)
register_vmap_rule(_backward_operation)
