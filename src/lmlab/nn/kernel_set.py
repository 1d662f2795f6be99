"""Kernels that the parts of a model may compute with.

A part that can use some of them has a method ``use(kernels)``, which takes those and returns the
names of what it took. What a set does not have, parts compute by torch's operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor

from lmlab.nn.fused_linear import ApplyLinears
from lmlab.nn.pos import Positions

# (q_BHTK, k_BGTK, v_BGTK, pos) -> causal attention (B, H, T, K); pos is None where queries and keys
# are rotated already.
CausalAttention = Callable[[Tensor, Tensor, Tensor, Positions | None], Tensor]
# (qkv_BTJ, num_heads, d_head, pos) -> attention output (B, T, H K), where J = (H + 2 G) K is the
# width of the concatenated queries, keys and values.
FusedQKVAttention = Callable[[Tensor, int, int, Positions], Tensor]
# (q_BHTK, k_BGSK, v_BGSK, bias) -> attention (B, H, T, K); the bias is added to the scores, and
# broadcasts to (B, H, T, S).
BiasedAttention = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
# Maps the head's input (tokens, D), its weight (V, D) and the targets (tokens,) to the mean loss.
HeadLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class KernelSet:
    """Kernels, or functions that return one for a shape; None for what the set does not have.

    Attributes:
        name: of the set, for messages.
        causal_attention: called with the width of a head. The kernel serves calls without explicit
            positions, a cache or a mask, as the next one.
        biased_attention: attention whose mask is a bias of the scores.
        fused_qkv_attention: called with the width of a head; returns None for widths without a
            kernel.
        silu_and_mul: computes ``silu(gate) * up`` of the fused (B, T, 2 F).
        apply_linears: computes several linear maps of one input.
        head_loss: called with the vocabulary size and the device type; returns None for sizes
            without a kernel.
    """

    name: str = "torch"
    causal_attention: Callable[[int], CausalAttention] | None = None
    biased_attention: BiasedAttention | None = None
    fused_qkv_attention: Callable[[int], FusedQKVAttention | None] | None = None
    silu_and_mul: Callable[[Tensor], Tensor] | None = None
    apply_linears: ApplyLinears | None = None
    head_loss: Callable[[int, str], HeadLoss | None] | None = None

    def with_mask(self) -> KernelSet:
        """Return the kernels that can compute attention with a mask, and all others."""
        return dataclasses.replace(self, causal_attention=None, fused_qkv_attention=None)
