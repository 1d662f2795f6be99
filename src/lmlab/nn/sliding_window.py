"""Attention to the last tokens only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.nn.biased_attention import bias_of, biased_attention
from lmlab.nn.kernel_set import BiasedAttention, KernelSet
from lmlab.nn.window_layout import is_blocked


class SlidingWindow(nn.Module):
    """Causal attention in which each query sees the last W tokens, its own included.

    Beltagy et al. 2020 (Longformer), section 3.1, with the causal half of their window, as in
    Mistral 7B (Jiang et al. 2023, section 2). Where :func:`lmlab.nn.window_layout.is_blocked`,
    queries are computed in blocks of W, each with the keys of its own block and of the one before,
    so that time and memory grow with T W. Other sequences are computed over all T x T pairs.

    Args:
        window: W, below ``context_length``.
        context_length: length of the sequences for which the hidden keys are tabulated.
        heads_per_group: query heads for each key/value head, H / G.

    Attributes:
        attention: computes scores, softmax and the weighted sum.
    """

    bias: Tensor

    def __init__(self, *, window: int, context_length: int, heads_per_group: int) -> None:
        super().__init__()
        self.window = window
        self.context_length = context_length
        self.heads_per_group = heads_per_group
        self.attention: BiasedAttention = biased_attention
        self.register_buffer("bias", self._bias(context_length), persistent=False)

    def attend(self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
        """Return the attention output (B, H, T, K) of queries and keys that are rotated already."""
        tokens = q_BHTK.shape[2]
        bias = self.bias if tokens == self.context_length else self._bias(tokens, q_BHTK.device)
        if not is_blocked(tokens, self.window):
            return self.attention(q_BHTK, k_BGTK, v_BGTK, bias)
        batch, groups = k_BGTK.shape[:2]
        q, k, v = self._query_blocks(q_BHTK), *map(self._key_blocks, (k_BGTK, v_BGTK))
        output = self.attention(q, k, v, bias)
        parts = output.unflatten(0, (batch, groups)).unflatten(3, (self.heads_per_group, -1))
        # (B, G, blocks, H / G, W, K) to (B, H, T, K)
        return parts.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def use(self, kernels: KernelSet) -> set[str]:
        """Take the kernel for attention with a bias."""
        if kernels.biased_attention is None:
            return set()
        self.attention = kernels.biased_attention
        return {"biased_attention"}

    def restrict(self, mask_BTS: Tensor) -> Tensor:
        """Hide keys before the window of each query; the last query belongs to the last key.

        Args:
            mask_BTS: True where a query may attend to a key. Tokens of a sequence are contiguous.
        """
        queries, keys = mask_BTS.shape[-2:]
        query_T = torch.arange(keys - queries, keys, device=mask_BTS.device)
        key_S = torch.arange(keys, device=mask_BTS.device)
        return mask_BTS & (key_S[None, :] > query_T[:, None] - self.window)

    def _bias(self, tokens: int, device: torch.device | None = None) -> Tensor:
        """Return 0 for visible keys and -inf for hidden ones.

        In blocks, (1, blocks, W H / G, 2 W); otherwise (T, T).
        """
        window = self.window
        if not is_blocked(tokens, window):
            query_T1 = torch.arange(tokens, device=device)[:, None]
            key_S = torch.arange(tokens, device=device)
            return bias_of((key_S <= query_T1) & (key_S > query_T1 - window))
        query_T1 = torch.arange(window, 2 * window, device=device)[:, None]
        key_S = torch.arange(2 * window, device=device)
        visible = (key_S <= query_T1) & (key_S > query_T1 - window)
        visible = visible.repeat(tokens // window, self.heads_per_group, 1)
        visible[0, :, :window] = False  # no block comes before the first
        return bias_of(visible)[None]

    def _query_blocks(self, q_BHTK: Tensor) -> Tensor:
        """Return (B G, blocks, W H / G, K): a block's queries of all heads that share keys."""
        blocks = q_BHTK.unflatten(2, (-1, self.window)).unflatten(1, (-1, self.heads_per_group))
        return blocks.transpose(2, 3).flatten(3, 4).flatten(0, 1)

    def _key_blocks(self, x_BGTK: Tensor) -> Tensor:
        """Return (B G, blocks, 2 W, K): each block after the one before; zeros before the first."""
        before = F.pad(x_BGTK, (0, 0, self.window, 0))[:, :, : x_BGTK.shape[2]]
        pair = [part.unflatten(2, (-1, self.window)) for part in (before, x_BGTK)]
        return torch.cat(pair, dim=3).flatten(0, 1)
