"""Causal self-attention."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.nn.biased_attention import as_kernel_bias, bias_of, biased_attention
from lmlab.nn.fused_linear import ApplyLinears, fused_linear, separate_linears
from lmlab.nn.kernel_set import BiasedAttention, CausalAttention, FusedQKVAttention, KernelSet
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.norm import RMSNorm
from lmlab.nn.pos import Positions, refuse_score_bias, rotary_tables, score_bias
from lmlab.nn.sliding_window import SlidingWindow
from lmlab.nn.window_layout import LOCAL, keys_per_query, window_of_layer


def causal_attention(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, pos: Positions | None = None
) -> Tensor:
    """Return causal attention by torch's fused kernel: (B, H, T, K).

    Args:
        q_BHTK: queries.
        k_BGTK: keys; each key head serves H / G query heads.
        v_BGTK: values.
        pos: rotates queries and keys of positions 0 .. T-1, and may add to the scores; None if they
            are already rotated.
    """
    bias = None
    if pos is not None:
        q_BHTK, k_BGTK = pos.rotate(q_BHTK, None), pos.rotate(k_BGTK, None)
        if (find_bias := score_bias(pos)) is not None:
            bias = as_kernel_bias(find_bias(q_BHTK, k_BGTK, None, None), q_BHTK)
    grouped = k_BGTK.shape[1] != q_BHTK.shape[1]
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGTK, v_BGTK.to(q_BHTK.dtype), bias, is_causal=bias is None, enable_gqa=grouped
    )


def naive_attention(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, pos: Positions | None = None
) -> Tensor:
    """Compute :func:`causal_attention` with all scores in memory and a float32 softmax."""
    bias: Tensor | float = 0.0
    if pos is not None:
        q_BHTK, k_BGTK = pos.rotate(q_BHTK, None), pos.rotate(k_BGTK, None)
        if (find_bias := score_bias(pos)) is not None:
            bias = find_bias(q_BHTK, k_BGTK, None, None)
    heads_per_group = q_BHTK.shape[1] // k_BGTK.shape[1]
    if heads_per_group > 1:
        k_BGTK, v_BGTK = (part.repeat_interleave(heads_per_group, 1) for part in (k_BGTK, v_BGTK))
    scores = (q_BHTK @ k_BGTK.mT).float() * q_BHTK.shape[-1] ** -0.5 + bias
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
    return weights.to(q_BHTK.dtype) @ v_BGTK.to(q_BHTK.dtype)


class CausalSelfAttention(nn.Module):
    """Causal multi-head attention: Vaswani et al. 2017, section 3.2.

    Args:
        d_model: D.
        num_heads: H; divides D.
        pos: rotates queries and keys by position, and may add to the scores.
        num_kv_heads: G key/value heads, each shared by H / G query heads (grouped-query attention,
            Ainslie et al. 2023); None for H.
        qk_norm: normalise each query and key over its width K by RMSNorm before rotation
            (Henry et al. 2020, with RMSNorm in place of the L2 norm).
        qk_norm_eps: epsilon of that norm, added to the mean square.
        window: number of last tokens that a query sees in ``local`` layers, its own included; None
            for all in every layer. See :class:`lmlab.nn.sliding_window.SlidingWindow`.
        window_pattern: ``local`` or ``global``, repeated over the layers, as Gemma 2 alternates
            them (Gemma Team 2024, section 2).
        layer: number of this layer, counted from 0.
        context_length: longest sequence of the model; required with a window.

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
        window: int | None = None,
        window_pattern: Sequence[str] = (LOCAL,),
        layer: int = 0,
        context_length: int | None = None,
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
        self.biased_attention: BiasedAttention = biased_attention
        self.fused_qkv_attention: FusedQKVAttention | None = None
        self.query_factor = 1.0
        self.score_products = 2 * num_heads * self.d_head
        self.d_values = d_kv
        # All layers share one object, which belongs to the model. The list keeps it out of this
        # module's children, so that its parameters appear once.
        self._pos = [pos]
        self.window: SlidingWindow | None = None
        width = window_of_layer(window, window_pattern, layer, context_length)
        if width is not None:
            assert context_length is not None
            refuse_score_bias(pos, f"model.attention.window={width}", "set it to null")
            self.window = SlidingWindow(
                window=width,
                context_length=context_length,
                heads_per_group=num_heads // self.num_kv_heads,
            )

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
        update: Tensor = self.out(self.attend(x_BTD, positions_BT, cache, mask_BTS, values_BTJ))
        return update

    def attend(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor | None = None,
        cache: KVCache | None = None,
        mask_BTS: Tensor | None = None,
        values_BTJ: Tensor | None = None,
    ) -> Tensor:
        """Return the weighted sums of the values, before the output projection: (B, T, H K)."""
        (pos,) = self._pos
        uses_causal_mask = positions_BT is None and cache is None and mask_BTS is None
        if uses_causal_mask and values_BTJ is None and self.fused_qkv_attention is not None:
            qkv = fused_linear(x_BTD, (self.q, self.k, self.v), (self.query_factor, 1.0, 1.0))
            return self.fused_qkv_attention(qkv, self.num_heads, self.d_head, pos)
        q, k, v = self.apply_linears(x_BTD, (self.q, self.k, self.v))
        if values_BTJ is not None:
            v = v + values_BTJ.to(v.dtype)
        q, k, v = map(self._split_heads, (q, k, v))
        q, k = self.q_norm(q), self.k_norm(k)
        if self.query_factor != 1:
            q = q * self.query_factor
        if uses_causal_mask and self.window is None:
            output = self.causal_attention(q, k, v, pos)
        else:
            find_bias, key_positions_BS = score_bias(pos), positions_BT
            q, k = pos.rotate(q, positions_BT), pos.rotate(k, positions_BT)
            if cache is not None:
                if find_bias is not None and positions_BT is not None:
                    key_positions_BS = cache.append_positions(positions_BT)
                k, v = cache.append(k.to(cache.k_BGSK.dtype), v.to(cache.v_BGSK.dtype))
            k, v = k.to(q.dtype), v.to(q.dtype)
            bias = None
            if find_bias is not None:
                bias = find_bias(q, k, positions_BT, key_positions_BS)
            output = self._masked_attention(q, k, v, mask_BTS, bias)
        return output.transpose(1, 2).flatten(2)

    def keys_per_query(self, num_tokens: int) -> int:
        """Return the number of keys that each query of a sequence is multiplied with."""
        return keys_per_query(num_tokens, None if self.window is None else self.window.window)

    def use(self, kernels: KernelSet) -> set[str]:
        """Take kernels of attention and of linear maps.

        None of causal attention where the position encoding adds to the scores, or with a window,
        which takes its own; no fused one with ``qk_norm``, or where the encoding rotates without
        tables.
        """
        (pos,) = self._pos
        is_biased, has_tables = score_bias(pos) is not None, rotary_tables(pos, 1) is not None
        taken: set[str] = set()
        if kernels.apply_linears is not None:
            self.apply_linears = kernels.apply_linears
            taken.add("apply_linears")
        if kernels.biased_attention is not None:
            self.biased_attention = kernels.biased_attention
            taken.add("biased_attention")
        if self.window is not None:
            return taken
        if kernels.causal_attention is not None and not is_biased:
            self.causal_attention = kernels.causal_attention(self.d_head)
            taken.add("causal_attention")
        can_fuse = has_tables and not is_biased and not self._has_qk_norm
        if kernels.fused_qkv_attention is not None and can_fuse:
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

    def _masked_attention(
        self,
        q_BHTK: Tensor,
        k_BGSK: Tensor,
        v_BGSK: Tensor,
        mask_BTS: Tensor | None,
        bias_BHTS: Tensor | None,
    ) -> Tensor:
        if mask_BTS is None and bias_BHTS is None:
            attend = causal_attention if self.window is None else self.window.attend
            return attend(q_BHTK, k_BGSK, v_BGSK)
        if mask_BTS is None:
            places = torch.arange(q_BHTK.shape[2], device=q_BHTK.device)
            mask_BTS = (places[None, :] <= places[:, None])[None]
        if self.window is not None:
            mask_BTS = self.window.restrict(mask_BTS)
        mask_B1TS = mask_BTS[:, None]
        if bias_BHTS is None:
            return self.biased_attention(q_BHTK, k_BGSK, v_BGSK, bias_of(mask_B1TS))
        bias = bias_BHTS.masked_fill(~mask_B1TS, -math.inf)
        return self.biased_attention(q_BHTK, k_BGSK, v_BGSK, bias)

    def _split_heads(self, x_BTD: Tensor) -> Tensor:
        """Give each head its own axis: (B, heads, T, K)."""
        return x_BTD.unflatten(-1, (-1, self.d_head)).transpose(1, 2)
