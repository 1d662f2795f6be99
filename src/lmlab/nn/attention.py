"""Causal self-attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.nn.fused_linear import ApplyLinears, fused_linear, separate_linears
from lmlab.nn.kernel_set import CausalAttention, FusedQKVAttention, KernelSet
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.norm import RMSNorm
from lmlab.nn.pos import Positions


def causal_attention(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, pos: Positions | None = None
) -> Tensor:
    """Return causal attention by torch's fused kernel: (B, H, T, K).

    Args:
        q_BHTK: queries.
        k_BGTK: keys; each key head serves H / G query heads.
        v_BGTK: values.
        pos: rotates queries and keys of positions 0 .. T-1; None if they are already rotated.
    """
    if pos is not None:
        q_BHTK, k_BGTK = pos.rotate(q_BHTK, None), pos.rotate(k_BGTK, None)
    grouped = k_BGTK.shape[1] != q_BHTK.shape[1]
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGTK, v_BGTK.to(q_BHTK.dtype), is_causal=True, enable_gqa=grouped
    )


def naive_attention(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, pos: Positions | None = None
) -> Tensor:
    """Compute :func:`causal_attention` with all scores in memory and a float32 softmax."""
    if pos is not None:
        q_BHTK, k_BGTK = pos.rotate(q_BHTK, None), pos.rotate(k_BGTK, None)
    heads_per_group = q_BHTK.shape[1] // k_BGTK.shape[1]
    if heads_per_group > 1:
        k_BGTK, v_BGTK = (part.repeat_interleave(heads_per_group, 1) for part in (k_BGTK, v_BGTK))
    scores = (q_BHTK @ k_BGTK.mT).float() * q_BHTK.shape[-1] ** -0.5
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
    return weights.to(q_BHTK.dtype) @ v_BGTK.to(q_BHTK.dtype)


class CausalSelfAttention(nn.Module):
    """Causal multi-head attention: Vaswani et al. 2017, section 3.2.

    Args:
        d_model: D.
        num_heads: H; divides D.
        pos: rotates queries and keys by position.
        num_kv_heads: G key/value heads, each shared by H / G query heads (grouped-query attention,
            Ainslie et al. 2023); None for H.
        qk_norm: normalise each query and key over its width K by RMSNorm before rotation
            (Henry et al. 2020, with RMSNorm in place of the L2 norm).
        qk_norm_eps: epsilon of that norm, added to the mean square.

    No biases; scores are divided by sqrt(K).

    Attributes:
        wants: see :class:`lmlab.nn.block.Block`.
        query_factor: multiplies the queries, and so the scores; 1 unless
            :class:`lmlab.nn.transformer.Transformer` sets it.
        score_products: multiplications per pair of a query and a key.
        d_values: width G K of the values, to which the embedding may add.
    """

    wants: tuple[str, ...] = ("values",)

    def __init__(
        self,
        *,
        d_model: int,
        num_heads: int,
        pos: Positions,
        num_kv_heads: int | None = None,
        qk_norm: bool = False,
        qk_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.d_head = d_model // num_heads
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        d_kv = self.num_kv_heads * self.d_head
        self.q = nn.Linear(d_model, num_heads * self.d_head, bias=False)
        self.k = nn.Linear(d_model, d_kv, bias=False)
        self.v = nn.Linear(d_model, d_kv, bias=False)
        self.out = nn.Linear(num_heads * self.d_head, d_model, bias=False)
        self._has_qk_norm = qk_norm
        self.q_norm = RMSNorm(self.d_head, qk_norm_eps) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.d_head, qk_norm_eps) if qk_norm else nn.Identity()
        self.apply_linears: ApplyLinears = separate_linears
        self.causal_attention: CausalAttention = causal_attention
        self.fused_qkv_attention: FusedQKVAttention | None = None
        self.query_factor = 1.0
        self.score_products = 2 * num_heads * self.d_head
        self.d_values = d_kv
        # All layers share one object, which belongs to the model. The list keeps it out of this
        # module's children, so that its parameters appear once.
        self._pos = [pos]

    def forward(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor | None = None,
        cache: KVCache | None = None,
        mask_BTS: Tensor | None = None,
        values_BTJ: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, D).

        Args:
            x_BTD: input of the layer.
            positions_BT: position of each token; None for 0 .. T-1.
            cache: keys and values of earlier tokens; the new ones are appended.
            mask_BTS: True where query t may attend to key s; required with a cache. None for the
                causal mask.
            values_BTJ: added to the values, J = G K; None for nothing.
        """
        (pos,) = self._pos
        uses_causal_mask = positions_BT is None and cache is None and mask_BTS is None
        if uses_causal_mask and values_BTJ is None and self.fused_qkv_attention is not None:
            qkv = fused_linear(x_BTD, (self.q, self.k, self.v), (self.query_factor, 1.0, 1.0))
            output = self.fused_qkv_attention(qkv, self.num_heads, self.d_head, pos)
            return self._project(output)
        q, k, v = self.apply_linears(x_BTD, (self.q, self.k, self.v))
        if values_BTJ is not None:
            v = v + values_BTJ.to(v.dtype)
        q, k, v = map(self._split_heads, (q, k, v))
        q, k = self.q_norm(q), self.k_norm(k)
        if self.query_factor != 1:
            q = q * self.query_factor
        if uses_causal_mask:
            output = self.causal_attention(q, k, v, pos)
        else:
            q, k = pos.rotate(q, positions_BT), pos.rotate(k, positions_BT)
            if cache is not None:
                k, v = cache.append(k.to(cache.k_BGSK.dtype), v.to(cache.v_BGSK.dtype))
            output = self._masked_attention(q, k.to(q.dtype), v.to(q.dtype), mask_BTS)
        return self._project(output.transpose(1, 2).flatten(2))

    def use(self, kernels: KernelSet) -> set[str]:
        """Take kernels of attention and of linear maps; with ``qk_norm`` no fused one."""
        taken: set[str] = set()
        if kernels.apply_linears is not None:
            self.apply_linears = kernels.apply_linears
            taken.add("apply_linears")
        if kernels.causal_attention is not None:
            self.causal_attention = kernels.causal_attention(self.d_head)
            taken.add("causal_attention")
        if kernels.fused_qkv_attention is not None and not self._has_qk_norm:
            self.fused_qkv_attention = kernels.fused_qkv_attention(self.d_head)
            taken |= set() if self.fused_qkv_attention is None else {"fused_qkv_attention"}
        return taken

    def make_cache(
        self, *, batch_size: int, max_length: int, device: torch.device, dtype: torch.dtype
    ) -> KVCache:
        """Return an empty cache for generation.

        Args:
            batch_size: B.
            max_length: capacity in tokens.
            device: of the model.
            dtype: of keys and values.
        """
        return KVCache(
            batch_size=batch_size,
            num_kv_heads=self.num_kv_heads,
            max_length=max_length,
            d_head=self.d_head,
            device=device,
            dtype=dtype,
        )

    def _project(self, output_BTJ: Tensor) -> Tensor:
        update: Tensor = self.out(output_BTJ)
        return update

    def _masked_attention(
        self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask_BTS: Tensor | None
    ) -> Tensor:
        if mask_BTS is None:
            return causal_attention(q_BHTK, k_BGSK, v_BGSK)
        return F.scaled_dot_product_attention(
            q_BHTK,
            k_BGSK,
            v_BGSK,
            attn_mask=mask_BTS[:, None],
            enable_gqa=self.num_kv_heads != self.num_heads,
        )

    def _split_heads(self, x_BTD: Tensor) -> Tensor:
        """Give each head its own axis: (B, heads, T, K)."""
        return x_BTD.unflatten(-1, (-1, self.d_head)).transpose(1, 2)
