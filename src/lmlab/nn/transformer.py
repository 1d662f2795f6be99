"""The Transformer language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.errors import ConfigError
from lmlab.nn.block import wants_of
from lmlab.nn.document_layout import Documents
from lmlab.nn.document_mask import document_mask
from lmlab.nn.kernel_set import KernelSet
from lmlab.nn.loss_terms import LossTerms
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
        embedding: called with ``vocab_size`` and ``d_model``; see
            :class:`lmlab.nn.embedding.TokenEmbedding`.
        norm: builds the residual branches.
        pos: position encoding, shared by all layers.
        ffn: maps the number of a layer to what builds its feed-forward layer from ``d_model`` and
            ``d_ff``.
        attention: maps the number of a layer to what builds its attention from ``d_model``,
            ``num_heads`` and ``pos``.
        block: maps the number of a layer to what builds it from its parts; see
            :class:`lmlab.nn.block.Block`.
        residual: called with ``d_model`` and ``num_layers``; see
            :class:`lmlab.nn.residual.PlainResidual`.
        head: called with ``d_model`` and ``vocab_size``; see :class:`lmlab.nn.head.LinearHead`.
        dropout: probability with which training drops each value of the embeddings, positions
            included, and of the output of each sublayer before it is added (Vaswani et al. 2017,
            section 5.4).
        query_factor: multiplies the queries of all layers.
        residual_factor: multiplies the output of each sublayer before it is added.
        logit_factor: multiplies the input of the head, and so the logits.

    Attributes:
        documents: what attention must not cross; None for windows that are attended to as one text.
            Set it before :meth:`use`.

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
        embedding: Callable[..., Any],
        norm: NormStrategy,
        pos: Positions,
        ffn: Callable[[int], Callable[..., nn.Module]],
        attention: Callable[[int], Callable[..., Any]],
        block: Callable[[int], Callable[..., nn.Module]],
        residual: Callable[..., Any],
        head: Callable[..., Any],
        dropout: float = 0.0,
        query_factor: float = 1.0,
        residual_factor: float = 1.0,
        logit_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.context_length = context_length
        self.dropout = dropout
        self.query_factor = query_factor
        self.residual_factor = residual_factor
        self.logit_factor = logit_factor
        self.documents: Documents | None = None
        self.embedding: Any = embedding(vocab_size=vocab_size, d_model=d_model)
        self.pos: Positions = pos
        attentions = []
        self.blocks = nn.ModuleList()
        for layer in range(num_layers):
            attentions.append(attention(layer)(d_model=d_model, num_heads=num_heads, pos=pos))
            self.blocks.append(
                block(layer)(
                    attention=attentions[-1],
                    ffn=ffn(layer)(d_model=d_model, d_ff=d_ff),
                    norm=norm,
                    d_model=d_model,
                    dropout=dropout,
                    residual_factor=residual_factor,
                )
            )
        self.final_norm = norm.final(d_model)
        self.head: Any = head(d_model=d_model, vocab_size=vocab_size)
        self.residual: Any = residual(d_model=d_model, num_layers=num_layers)
        self._wants = [wants_of(one) for one in self.blocks]
        if tie_embeddings:
            self.head.weight = self.embedding.weight
        if query_factor != 1:
            _scale_queries(attentions, query_factor)
        if hasattr(self.embedding, "add_values"):
            _check_values(self._wants)
            self.embedding.add_values([one.d_values for one in attentions])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        caches: list[Any] | None = None,
        mask_BTS: Tensor | None = None,
        terms: LossTerms | None = None,
    ) -> Tensor:
        """Return the logits of each next token (B, T, V); see :meth:`hidden` for the arguments."""
        # Does not call `hidden`: FSDP2 hooks both methods, and its hooks do not nest.
        logits: Tensor = self.head(self._hidden(tokens_BT, positions_BT, caches, mask_BTS, terms))
        return logits

    def hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        caches: list[Any] | None = None,
        mask_BTS: Tensor | None = None,
        terms: LossTerms | None = None,
    ) -> Tensor:
        """Return the input of the output head (B, T, D), in the head's dtype.

        Args:
            tokens_BT: int64 ids, T at most ``context_length``.
            positions_BT: int64 positions below ``context_length``; None for 0 .. T-1.
            caches: one per layer from :meth:`make_caches`, with the tokens before these.
            mask_BTS: True where query t may attend to key s, where S includes the cached tokens;
                required with caches. None for the causal mask. With :attr:`documents` and without
                caches, keys of other documents are hidden in addition; with caches, this mask must
                hide them, because earlier tokens are not known here.
            terms: takes the terms of the training loss that parts add; None outside of training.
        """
        return self._hidden(tokens_BT, positions_BT, caches, mask_BTS, terms)

    def _hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None,
        caches: list[Any] | None,
        mask_BTS: Tensor | None,
        terms: LossTerms | None,
    ) -> Tensor:
        # Embeddings are summed in their own dtype, products computed in that of the matrices.
        x = self.pos.embed(self.embedding(tokens_BT), positions_BT).to(self.head.dtype)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        values = self.embedding.values(tokens_BT)
        if self.documents is not None and caches is None:
            visible_BTT = document_mask(tokens_BT, self.documents)
            mask_BTS = visible_BTT if mask_BTS is None else mask_BTS & visible_BTT
        offered: dict[str, Any] = {"tokens": tokens_BT, "first": x, "terms": terms, "earlier": ()}
        keeps_outputs = any("earlier" in wants for wants in self._wants)
        state = self.residual.begin(x)
        for layer, block in enumerate(self.blocks):
            offered["values"] = None if values is None else values[layer]
            cache = None if caches is None else caches[layer]
            wanted = [offered[name] for name in self._wants[layer]]
            x = block(self.residual.read(state, layer), positions_BT, cache, mask_BTS, *wanted)
            state = self.residual.write(state, x, layer)
            if keeps_outputs:  # otherwise they are freed where no gradient needs them
                offered["earlier"] = (*offered["earlier"], x)
        final: Tensor = self.final_norm(self.residual.end(state))
        return final if self.logit_factor == 1 else final * self.logit_factor

    def use(self, kernels: KernelSet) -> frozenset[str]:
        """Let every part take the kernels that it can use; of attention, those that take a mask
        where :attr:`documents` need one.

        Returns:
            The names of those that at least one part took, as fields of :class:`KernelSet`.
        """
        if self.documents is not None:
            kernels = kernels.with_mask()
        taken: set[str] = set()
        for part in self.modules():
            use: Any = getattr(part, "use", None)
            if part is not self and use is not None:
                taken.update(use(kernels))
        return frozenset(taken)

    def make_caches(self, batch_size: int, max_length: int) -> list[Any]:
        """Return an empty cache of ``max_length`` tokens per layer, made by its attention.

        Raises:
            ConfigError: the attention of a layer has no ``make_cache``.
        """
        weight = next(self.parameters())
        return [
            _part_with(block, "make_cache").make_cache(
                batch_size=batch_size,
                max_length=max_length,
                device=weight.device,
                dtype=weight.dtype,
            )
            for block in self.blocks
        ]

    def num_parameters(self) -> int:
        """Return the number of weights, counting tied weights once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward_flops_per_token(self) -> int:
        """Return the FLOPs per token of a forward pass over a full context.

        Two per entry of each matrix that a token is multiplied by, including a tied head, and
        two per product of a pair of a query and a key, over the full T x T square, as in Chowdhery
        et al. 2022 (PaLM), appendix B: the causal half is not subtracted. Attention that computes
        fewer pairs says so in ``keys_per_query``. With :attr:`documents`, the pairs are those of
        each part of a document in a sequence of its own, as a mean over the training text. Norms,
        activations and softmax are not counted.
        """
        whole = Documents(end_id=-1) if self.documents is None else self.documents
        products = sum(self._score_products(part, whole) for part in self.modules())
        return 2 * (_matmul_entries(self) + round(products))

    def _score_products(self, part: nn.Module, documents: Documents) -> float:
        """Return the multiplications for the scores of one query and their weighted sum."""
        products = getattr(part, "score_products", None)
        if products is None:
            return 0
        count: Callable[[int], int] = getattr(part, "keys_per_query", int)
        return float(products * documents.mean_keys(count, self.context_length))


def _matmul_entries(part: nn.Module) -> int:
    """Return the entries of all matrices below ``part`` that each token is multiplied by.

    A part that does not multiply every token by all of its matrices has a method
    ``matmul_entries`` that says how many it does.
    """
    count: Any = getattr(part, "matmul_entries", None)
    if count is not None:
        return int(count())
    if isinstance(part, nn.Linear):
        return part.weight.numel()
    return sum(map(_matmul_entries, part.children()))


def _scale_queries(attentions: list[Any], factor: float) -> None:
    if not all(hasattr(one, "query_factor") for one in attentions):
        raise ConfigError(
            "model.attention: expected an attention with an attribute query_factor, such as a "
            "subclass of lmlab.nn.attention.CausalSelfAttention, whose queries model.param "
            f"multiplies by {factor:g}",
            "set model.param.base_d_head to model.d_model / model.num_heads",
        )
    for one in attentions:
        one.query_factor = factor


def _check_values(wants: list[tuple[str, ...]]) -> None:
    if any("values" not in names for names in wants):
        raise ConfigError(
            "model.embedding: expected an attention that adds the embedding's values to its own "
            "(its wants contains values)",
            "set model.attention=causal, or model.embedding=tokens",
        )


def _part_with(block: nn.Module, name: str) -> Any:
    for part in block.modules():
        if hasattr(part, name):
            return part
    raise ConfigError(
        f"model.attention: cannot generate text, because it has no {name}",
        "subclass lmlab.nn.attention.CausalSelfAttention, or write the method as it does",
    )
