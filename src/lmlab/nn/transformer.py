"""The Transformer language model."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.errors import ConfigError
from lmlab.nn.attention import CausalAttention, CausalSelfAttention, FusedQKVAttention
from lmlab.nn.block import Block
from lmlab.nn.ffn import SwiGLU
from lmlab.nn.fused_linear import fused_linears
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.norm import NormStrategy
from lmlab.nn.pos import Positions


class Transformer(nn.Module):
    """A decoder-only Transformer assembled of the given components.

    Args:
        vocab_size: V.
        context_length: longest sequence in tokens.
        d_model: D.
        num_layers: number of blocks.
        num_heads: H.
        d_ff: F; None for the default of the feed-forward layer.
        tie_embeddings: also use the embedding matrix as the output head (Press and Wolf 2017).
        norm: builds the residual branches.
        pos: position encoding, shared by all layers.
        ffn: called with ``d_model`` and ``d_ff`` for each layer.
        attention: called with ``d_model``, ``num_heads`` and ``pos`` for each layer.
        dropout: probability with which training drops each value of the embeddings, positions
            included, and of the output of each sublayer before it is added (Vaswani et al. 2017,
            section 5.4).
        query_factor: multiplies the queries of all layers.
        residual_factor: multiplies the output of each sublayer before it is added.
        logit_factor: multiplies the input of the head, and so the logits.

    Draw the initial weights afterwards with :mod:`lmlab.nn.init`.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        context_length: int,
        d_model: int,
        num_layers: int,
        num_heads: int,
        d_ff: int | None,
        tie_embeddings: bool,
        norm: NormStrategy,
        pos: Positions,
        ffn: Callable[..., nn.Module],
        attention: Callable[..., CausalSelfAttention],
        dropout: float = 0.0,
        query_factor: float = 1.0,
        residual_factor: float = 1.0,
        logit_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.context_length = context_length
        self.d_head = d_model // num_heads
        self.dropout = dropout
        self.query_factor = query_factor
        self.residual_factor = residual_factor
        self.logit_factor = logit_factor
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.pos: Positions = pos
        self.blocks = nn.ModuleList(
            Block(
                attention=attention(d_model=d_model, num_heads=num_heads, pos=pos),
                ffn=ffn(d_model=d_model, d_ff=d_ff),
                norm=norm,
                d_model=d_model,
                dropout=dropout,
                residual_factor=residual_factor,
            )
            for _ in range(num_layers)
        )
        self.final_norm = norm.final(d_model)
        self.head = nn.Linear(d_model, vocab_size, bias=False)
        if tie_embeddings:
            self.head.weight = self.embedding.weight
        if query_factor != 1:
            self._scale_queries(query_factor)

    def _scale_queries(self, factor: float) -> None:
        attentions = self._attentions()
        if len(attentions) < len(self.blocks):
            raise ConfigError(
                "model.attention: expected a subclass of lmlab.nn.attention.CausalSelfAttention, "
                f"whose queries model.param multiplies by {factor:g}",
                "set model.param.base_d_head to model.d_model / model.num_heads",
            )
        for part in attentions:
            part.query_factor = factor

    def forward(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        caches: list[KVCache] | None = None,
        mask_BTS: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of each next token (B, T, V); see :meth:`hidden` for the arguments."""
        # Does not call `hidden`: FSDP2 hooks both methods, and its hooks do not nest.
        logits: Tensor = self.head(self._hidden(tokens_BT, positions_BT, caches, mask_BTS))
        return logits

    def hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        caches: list[KVCache] | None = None,
        mask_BTS: Tensor | None = None,
    ) -> Tensor:
        """Return the input of the output head (B, T, D), in the head's dtype.

        Args:
            tokens_BT: int64 ids, T at most ``context_length``.
            positions_BT: int64 positions below ``context_length``; None for 0 .. T-1.
            caches: one per layer from :meth:`make_caches`, with the tokens before these.
            mask_BTS: True where query t may attend to key s, where S includes the cached tokens;
                required with caches. None for the causal mask.
        """
        return self._hidden(tokens_BT, positions_BT, caches, mask_BTS)

    def _hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None,
        caches: list[KVCache] | None,
        mask_BTS: Tensor | None,
    ) -> Tensor:
        # Embeddings are summed in their own dtype, products computed in that of the matrices.
        x = self.pos.embed(self.embedding(tokens_BT), positions_BT).to(self.head.weight.dtype)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        for index, block in enumerate(self.blocks):
            x = block(x, positions_BT, None if caches is None else caches[index], mask_BTS)
        final: Tensor = self.final_norm(x)
        return final if self.logit_factor == 1 else final * self.logit_factor

    def fuse_linears(self) -> None:
        """Fuse linear maps of one input into one product; see :mod:`lmlab.nn.fused_linear`."""
        for part in self.modules():
            if hasattr(part, "apply_linears"):
                setattr(part, "apply_linears", fused_linears)  # noqa: B010, nn.Module has no such type

    def use_causal_attention(self, causal_attention: CausalAttention) -> None:
        """Replace :func:`lmlab.nn.attention.causal_attention` in all layers.

        Calls with explicit positions, a cache or a mask do not use it.
        """
        for part in self._attentions():
            part.causal_attention = causal_attention

    def use_fused_qkv_attention(self, fused_qkv_attention: FusedQKVAttention) -> None:
        """Compute attention from the fused product of queries, keys and values by this function.

        Layers with ``qk_norm`` do not use it, nor do calls with explicit positions, a cache or a
        mask.
        """
        for part in self._attentions():
            if isinstance(part.q_norm, nn.Identity):
                part.fused_qkv_attention = fused_qkv_attention

    def use_silu_and_mul(self, silu_and_mul: Callable[[Tensor], Tensor]) -> None:
        """Compute SwiGLU's ``silu(gate) * up`` by this function of the fused (B, T, 2 F)."""
        for part in self.modules():
            if isinstance(part, SwiGLU):
                part.silu_and_mul = silu_and_mul

    def make_caches(self, batch_size: int, max_length: int) -> list[KVCache]:
        """Return an empty cache of ``max_length`` tokens per layer."""
        weight = self.embedding.weight
        return [
            KVCache(
                batch_size=batch_size,
                num_kv_heads=attention.num_kv_heads,
                max_length=max_length,
                d_head=self.d_head,
                device=weight.device,
                dtype=weight.dtype,
            )
            for attention in self._attentions()
        ]

    def num_parameters(self) -> int:
        """Return the number of weights, counting tied weights once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward_flops_per_token(self) -> int:
        """Return the FLOPs per token of a forward pass over a full context.

        Two per entry of each matrix that a token is multiplied by, including a tied head, and
        4 T D per layer for the scores and the weighted sum of the values over the full T x T
        square, as in Chowdhery et al. 2022 (PaLM), appendix B: the causal half is not subtracted.
        Norms, activations and softmax are not counted.
        """
        matrices = sum(
            part.weight.numel() for part in self.modules() if isinstance(part, nn.Linear)
        )
        widths = sum(attention.num_heads * self.d_head for attention in self._attentions())
        return 2 * matrices + 4 * self.context_length * widths

    def _attentions(self) -> list[CausalSelfAttention]:
        return [part for part in self.modules() if isinstance(part, CausalSelfAttention)]
