"""Causal attention on a GPU over short sequences by kernels of our own, in compiled bf16 runs.

Torch's fused kernels are made for wide heads and long sequences. Here a joint product of queries,
keys and values is read as it lies in memory, rotary positions are turned to inside the kernels, and
the gradients are written where those of the joint product belong, so that nothing is copied into
another order. Products are bfloat16 with float32 sums; softmax and rotation are float32.

Forward is algorithm 1 of Dao 2023 (FlashAttention-2). Backward is algorithm 2 with one program for
all blocks of a head, which adds up the queries' gradients itself: no other writes there, so that
the sums have one order and the bits repeat. That is what long sequences would suffer from.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lmlab.nn.kernels.vmap_rule import register_vmap_rule
from lmlab.nn.pos import Positions, RoPE

WIDTHS = (32, 64)  # of heads that the kernels compute
LONGEST = 256  # tokens of a sequence; torch's kernels are the faster ones for more


@dataclasses.dataclass(frozen=True)
class Tiling:
    """What a program multiplies at a time, and how."""

    rows: int
    keys: int
    num_warps: int
    num_stages: int
    maxnreg: int | None = None

    def options(self) -> dict[str, Any]:
        """As arguments of a kernel."""
        given = {"num_warps": self.num_warps, "num_stages": self.num_stages}
        if self.maxnreg is not None:
            given["maxnreg"] = self.maxnreg
        return {"ROWS": self.rows, "KEYS": self.keys, **given}


# On an H200, of many that were tried: three programs a multiprocessor have registers enough.
FORWARD, BACKWARD = Tiling(64, 64, 4, 2), Tiling(64, 64, 4, 3, 168)


def supports(d_head: int, tokens: int) -> bool:
    """Whether the kernels are for such heads and sequences."""
    return d_head in WIDTHS and tokens <= LONGEST


def fused_qkv_attention(joint_BTJ: Tensor, num_heads: int, d_head: int, pos: Positions) -> Tensor:
    """What tokens mixed, (B, T, H K), by heads one behind the other.

    Args:
        joint_BTJ: queries, keys and values of a token one behind the other, J = (H + 2 G) K.
        num_heads: H.
        d_head: K.
        pos: rotary positions, or ones that rotate nothing.
    """
    tables: tuple[Tensor | None, Tensor | None] = (None, None)
    if type(pos) is RoPE:  # not one that a user derived from it
        tokens = joint_BTJ.shape[1]
        tables = pos.cos_SK[:tokens], pos.sin_SK[:tokens]
    mixed: Tensor = _operation(joint_BTJ, *tables, num_heads, d_head)[0]
    return mixed


@triton.jit
def _load(base, rows, columns, step, tokens):
    """Rows of a head, zeros behind its last token; the columns are next to one another."""
    place = base + rows[:, None] * step + columns[None, :]
    return tl.load(place, mask=rows[:, None] < tokens, other=0.0)


@triton.jit
def _store(base, rows, columns, step, tokens, values):
    place = base + rows[:, None] * step + columns[None, :]
    tl.store(place, values.to(base.dtype.element_ty), mask=rows[:, None] < tokens)


@triton.jit
def _load_turned(base, cos, sin, rows, step, tokens, TURN: tl.constexpr, HALF: tl.constexpr):
    """Both halves of the rows' features, turned to their positions."""
    columns = tl.arange(0, HALF)
    first = _load(base, rows, columns, step, tokens)
    second = _load(base + HALF, rows, columns, step, tokens)
    if TURN:
        # The tables repeat after HALF columns, but for the sine's sign.
        c = _load(cos, rows, columns, 2 * HALF, tokens)
        s = _load(sin + HALF, rows, columns, 2 * HALF, tokens)
        turned = first * c - second * s
        second = (second * c + first * s).to(first.dtype)
        first = turned.to(first.dtype)
    return first, second


@triton.jit
def _turn(
    base, to, cos, sin, rows, step, tokens, TURN: tl.constexpr, HALF: tl.constexpr
):  # fmt: skip
    first, second = _load_turned(base, cos, sin, rows, step, tokens, TURN, HALF)
    columns = tl.arange(0, HALF)
    _store(to, rows, columns, step, tokens, first)
    _store(to + HALF, rows, columns, step, tokens, second)


@triton.jit
def _store_turned_back(
    base, cos, sin, rows, step, tokens, values,
    TURN: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Write gradients of what :func:`_load_turned` read, from those of what it returned."""
    if TURN:
        columns = tl.arange(0, HALF)
        first, second = tl.split(tl.permute(tl.reshape(values, [ROWS, 2, HALF]), [0, 2, 1]))
        c = _load(cos, rows, columns, 2 * HALF, tokens)
        s = _load(sin + HALF, rows, columns, 2 * HALF, tokens)
        _store(base, rows, columns, step, tokens, first * c + second * s)
        _store(base + HALF, rows, columns, step, tokens, second * c - first * s)
    else:
        _store(base, rows, tl.arange(0, 2 * HALF), step, tokens, values)


@triton.jit
def _forward(
    joint, cos, sin, mixed, log_sums, heads, groups, tokens, scale,
    TURN: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """A block of a head's queries; ``scale`` makes scores exponents of 2."""
    WIDTH: tl.constexpr = 2 * HALF
    head = tl.program_id(1) % heads
    sequence = (tl.program_id(1) // heads).to(tl.int64)
    step, mixed_step = (heads + 2 * groups) * WIDTH, heads * WIDTH
    q = joint + sequence * tokens * step + head * WIDTH
    k = joint + sequence * tokens * step + (heads + head // (heads // groups)) * WIDTH
    v = k + groups * WIDTH
    mixed += sequence * tokens * mixed_step + head * WIDTH
    log_sums += (sequence * heads + head) * tokens
    start = tl.program_id(0) * ROWS
    rows = start + tl.arange(0, ROWS)
    columns = tl.arange(0, WIDTH)
    q_first, q_second = _load_turned(q, cos, sin, rows, step, tokens, TURN, HALF)
    largest = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, WIDTH], tl.float32)
    for first_key in range(0, start + ROWS, KEYS):
        keys = first_key + tl.arange(0, KEYS)
        k_first, k_second = _load_turned(k, cos, sin, keys, step, tokens, TURN, HALF)
        scores = tl.dot(q_first, tl.trans(k_first))
        scores = tl.dot(q_second, tl.trans(k_second), scores)
        if first_key + KEYS > start:  # keys behind the last token are behind every query's, too
            scores = tl.where(rows[:, None] >= keys[None, :], scores, float("-inf"))
        above = tl.maximum(largest, tl.max(scores, 1) * scale)
        shrink = tl.exp2(largest - above)
        weights = tl.exp2(scores * scale - above[:, None])
        total = total * shrink + tl.sum(weights, 1)
        values = _load(v, keys, columns, step, tokens)
        sums = tl.dot(weights.to(values.dtype), values, sums * shrink[:, None])
        largest = above
    _store(mixed, rows, columns, mixed_step, tokens, sums / total[:, None])
    tl.store(log_sums + rows, largest + tl.log2(total), mask=rows < tokens)


@triton.jit
def _backward(
    gradient, joint, cos, sin, mixed, log_sums, joint_gradient, queries, dots,
    heads, groups, tokens, scale,
    TURN: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """All of a key's head, and of the queries' heads that it serves.

    ``queries`` (B, H, T, K) holds the queries' gradients so far, and ``dots`` (B, H, T) the
    product of each token's mixture with its gradient; both float32, both this kernel's own.
    ``log_sums`` are logarithms to the base 2. Until its gradients are known, ``joint_gradient``
    holds what was turned, so that this is done once.
    """
    WIDTH: tl.constexpr = 2 * HALF
    LOG2E: tl.constexpr = 1.4426950408889634
    sequence = (tl.program_id(0) // groups).to(tl.int64)
    group = tl.program_id(0) % groups
    served = heads // groups
    step, mixed_step = (heads + 2 * groups) * WIDTH, heads * WIDTH
    joint += sequence * tokens * step
    joint_gradient += sequence * tokens * step
    gradient += sequence * tokens * mixed_step
    mixed += sequence * tokens * mixed_step
    log_sums += sequence * heads * tokens
    dots += sequence * heads * tokens
    queries += sequence * heads * tokens * WIDTH
    key_place, value_place = (heads + group) * WIDTH, (heads + groups + group) * WIDTH
    columns = tl.arange(0, WIDTH)

    for start in range(0, tokens, ROWS):
        rows = start + tl.arange(0, ROWS)
        for head in range(group * served, (group + 1) * served):
            _turn(
                joint + head * WIDTH, joint_gradient + head * WIDTH, cos, sin, rows, step, tokens,
                TURN, HALF,
            )  # fmt: skip
            given = _load(gradient + head * WIDTH, rows, columns, mixed_step, tokens)
            found = _load(mixed + head * WIDTH, rows, columns, mixed_step, tokens)
            dot = tl.sum(given.to(tl.float32) * found.to(tl.float32), 1)
            tl.store(dots + head * tokens + rows, dot, mask=rows < tokens)
        _turn(
            joint + key_place, joint_gradient + key_place, cos, sin, rows, step, tokens, TURN, HALF
        )
    tl.debug_barrier()

    for first_key in range(0, tokens, KEYS):
        keys = first_key + tl.arange(0, KEYS)
        k = _load(joint_gradient + key_place, keys, columns, step, tokens)
        v = _load(joint + value_place, keys, columns, step, tokens)
        dk = tl.zeros([KEYS, WIDTH], tl.float32)
        dv = tl.zeros([KEYS, WIDTH], tl.float32)
        for head in range(group * served, (group + 1) * served):
            own = queries + head * tokens * WIDTH
            for start in range(first_key // ROWS * ROWS, tokens, ROWS):
                rows = start + tl.arange(0, ROWS)
                q = _load(joint_gradient + head * WIDTH, rows, columns, step, tokens)
                given = _load(gradient + head * WIDTH, rows, columns, mixed_step, tokens)
                sums = tl.load(log_sums + head * tokens + rows, mask=rows < tokens, other=0.0)
                dot = tl.load(dots + head * tokens + rows, mask=rows < tokens, other=0.0)
                scores = tl.dot(q, tl.trans(k))
                weights = tl.exp2(scores * (scale * LOG2E) - sums[:, None])
                if first_key + KEYS > start:
                    weights = tl.where(rows[:, None] >= keys[None, :], weights, 0.0)
                # Rows behind the last token: their gradients are zeros, and so is all they add.
                dv = tl.dot(tl.trans(weights.to(given.dtype)), given, dv)
                of_weights = tl.dot(given, tl.trans(v))
                of_scores = (weights * (of_weights - dot[:, None]) * scale).to(given.dtype)
                dk = tl.dot(tl.trans(of_scores), q, dk)
                dq = tl.dot(of_scores, k)
                if first_key > 0:
                    dq += _load(own, rows, columns, WIDTH, tokens)
                if first_key + KEYS >= tl.minimum(start + ROWS, tokens):  # nothing more is added
                    tl.debug_barrier()  # `q` is read before its gradient takes its place
                    _store_turned_back(
                        joint_gradient + head * WIDTH, cos, sin, rows, step, tokens, dq,
                        TURN, HALF, ROWS,
                    )  # fmt: skip
                else:
                    _store(own, rows, columns, WIDTH, tokens, dq)
        _store_turned_back(
            joint_gradient + key_place, cos, sin, keys, step, tokens, dk, TURN, HALF, KEYS
        )
        _store(joint_gradient + value_place, keys, columns, step, tokens, dv)
        tl.debug_barrier()


@torch.library.custom_op("lmlab::triton_attention", mutates_args=())
def _operation(
    joint: Tensor, cos: Tensor | None, sin: Tensor | None, heads: int, width: int
) -> tuple[Tensor, Tensor]:
    joint = joint.contiguous()
    mixed, log_sums = _forward_fake(joint, cos, sin, heads, width)
    batch, tokens, all_widths = joint.shape
    groups = (all_widths // width - heads) // 2
    _forward[(triton.cdiv(tokens, FORWARD.rows), batch * heads)](
        joint, cos, sin, mixed, log_sums, heads, groups, tokens, width**-0.5 * 1.4426950408889634,
        TURN=cos is not None, HALF=width // 2, **FORWARD.options(),
    )  # fmt: skip
    return mixed, log_sums


@_operation.register_fake
def _forward_fake(
    joint: Tensor, cos: Tensor | None, sin: Tensor | None, heads: int, width: int
) -> tuple[Tensor, Tensor]:
    batch, tokens, _ = joint.shape
    mixed = joint.new_empty(batch, tokens, heads * width)
    return mixed, joint.new_empty(batch, heads, tokens, dtype=torch.float32)


@torch.library.custom_op("lmlab::triton_attention_backward", mutates_args=())
def _backward_operation(
    gradient: Tensor, joint: Tensor, cos: Tensor | None, sin: Tensor | None, mixed: Tensor,
    log_sums: Tensor, heads: int, width: int,
) -> Tensor:  # fmt: skip
    gradient, joint, mixed = (part.contiguous() for part in (gradient, joint, mixed))
    batch, tokens, all_widths = joint.shape
    groups = (all_widths // width - heads) // 2
    found = torch.empty_like(joint)
    queries = joint.new_empty(batch, heads, tokens, width, dtype=torch.float32)
    _backward[(batch * groups,)](
        gradient, joint, cos, sin, mixed, log_sums, found, queries, torch.empty_like(log_sums),
        heads, groups, tokens, width**-0.5,
        TURN=cos is not None, HALF=width // 2, **BACKWARD.options(),
    )  # fmt: skip
    return found


@_backward_operation.register_fake
def _backward_fake(
    gradient: Tensor, joint: Tensor, cos: Tensor | None, sin: Tensor | None, mixed: Tensor,
    log_sums: Tensor, heads: int, width: int,
) -> Tensor:  # fmt: skip
    return joint.new_empty(joint.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.heads, ctx.width = inputs
    ctx.save_for_backward(*tensors, *output)


def _hand_on(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    joint_gradient = _backward_operation(gradient, *ctx.saved_tensors, ctx.heads, ctx.width)
    return joint_gradient, None, None, None, None


_operation.register_autograd(_hand_on, setup_context=_keep)
register_vmap_rule(_operation)
register_vmap_rule(_backward_operation)
