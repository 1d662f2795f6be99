"""Components of a model and their counts, from its configuration alone."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from lmlab.accounting.target_counts import UnknownCostError, counts_of
from lmlab.config import run_config
from lmlab.config.auto_width import feed_forward_width
from lmlab.config.optimizer_groups import group_entries, without_groups
from lmlab.config.run_config import (
    LINEAR_HEAD,
    PLAIN_RESIDUAL,
    STANDARD_BLOCK,
    TOKEN_EMBEDDING,
)
from lmlab.config.shared_parameters import CROSS, DOCUMENT
from lmlab.nn.component_counts import BlockCounts, ComponentCounts, Kind, SavedTensor
from lmlab.nn.window_layout import keys_per_query, visible_pairs
from lmlab.optim.optimizer_counts import OptimizerCounts

# Settings of some parameters that change no count.
_WITHOUT_COST = frozenset(
    {"match", "kind", "name", "lr_multiplier", "lr", "weight_decay", "betas", "eps"}
)
ATTENTION, FFN, HEAD, OTHER = "attention", "feed-forward", "head", "other"
GROUPS = (ATTENTION, FFN, HEAD, OTHER)


@dataclasses.dataclass(frozen=True)
class Component:
    """A component of the model and the number of its instances.

    Attributes:
        name: displayed name.
        group: one of :data:`GROUPS`.
        times: number of instances.
        in_block: whether it is part of a block.
        counts: counts of one instance.
    """

    name: str
    group: str
    times: int
    in_block: bool
    counts: ComponentCounts

    @property
    def parameters(self) -> int:
        """Parameters of all instances."""
        return self.times * self.counts.parameters

    def forward_flops(self, context: int, causal: bool = False) -> int:
        """Return the FLOPs of a forward pass over one sequence, two per multiplication.

        Args:
            context: T.
            causal: count only the pairs that the causal mask and a window leave, which a causal
                kernel executes. Otherwise count the full square (Chowdhery et al. 2022, appendix
                B), or with a window the pairs that are computed
                (:func:`lmlab.nn.window_layout.keys_per_query`).
        """
        window = self.counts.window
        pairs = (
            visible_pairs(context, window) if causal else context * keys_per_query(context, window)
        )
        return (
            self.times
            * 2
            * (self.counts.matmul_weights * context + self.counts.products_per_pair * pairs)
        )


@dataclasses.dataclass(frozen=True)
class ModelCounts:
    """Sizes and components of a model.

    Attributes:
        vocab_size: V.
        context: T.
        d_model: D.
        num_layers: L.
        num_heads: H.
        components: in the order of the forward pass.
    """

    vocab_size: int
    context: int
    d_model: int
    num_layers: int
    num_heads: int
    components: tuple[Component, ...]

    @property
    def parameters(self) -> int:
        """Parameters of the full model; tied ones count once."""
        return sum(component.parameters for component in self.components)

    @property
    def active_parameters(self) -> int:
        """Parameters without the matrices of experts that a token does not use."""
        return self.parameters - self.unused_weights

    @property
    def hidden_parameters(self) -> int:
        """Entries of the matrices in the blocks that a token is multiplied by."""
        return sum(c.times * c.counts.matmul_weights for c in self.components if c.in_block)

    @property
    def stored_hidden_parameters(self) -> int:
        """Entries of all matrices in the blocks, also of experts that a token does not use."""
        return self.hidden_parameters + self.unused_weights

    @property
    def matrix_entries(self) -> int:
        """Entries of all matrices, also of experts that a token does not use."""
        return sum(c.times * c.counts.matmul_weights for c in self.components) + self.unused_weights

    @property
    def unused_weights(self) -> int:
        """Entries of the matrices that a token is not multiplied by; all are in the blocks."""
        return sum(c.times * c.counts.unused_weights for c in self.components)

    @property
    def tables(self) -> int:
        """float32 values of constants that are not parameters."""
        return sum(c.times * c.counts.tables for c in self.components)

    @property
    def loss_in_chunks(self) -> bool:
        """Whether the loss can be computed without all logits in memory."""
        return any(c.counts.loss_in_chunks for c in self.components)

    @property
    def d_ff(self) -> int | None:
        """F, or None if no component has a feed-forward width."""
        return next((c.counts.d_ff for c in self.components if c.counts.d_ff is not None), None)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...] | None:
        """Shapes of all parameters, in no order; None where a component does not give them."""
        found: list[tuple[int, ...]] = []
        for component in self.components:
            if component.counts.parameters and component.counts.shapes is None:
                return None
            found += component.times * list(component.counts.shapes or ())
        is_complete = sum(map(math.prod, found)) == self.parameters
        return tuple(found) if is_complete else None

    def forward_flops(self, causal: bool = False) -> int:
        """Return the FLOPs of a forward pass over a full context; see :class:`Component`."""
        return sum(c.forward_flops(self.context, causal) for c in self.components)

    def training_flops(self, causal: bool = False) -> int:
        """Return the FLOPs of a forward and a backward pass; the latter takes twice as many."""
        return 3 * self.forward_flops(causal)

    def share(self, group: str) -> float:
        """Return the share of a group in the forward FLOPs."""
        of_group = sum(c.forward_flops(self.context) for c in self.components if c.group == group)
        return of_group / self.forward_flops()

    def saved_tensors(
        self, fused_attention: bool = True
    ) -> Iterator[tuple[Component, SavedTensor]]:
        """Yield the tensors that autograd saves, each with its component."""
        for component in self.components:
            unfused = component.counts.saved_unfused
            saved = component.counts.saved if fused_attention or unfused is None else unfused
            yield from ((component, tensor) for tensor in saved)


def count_model(model: Mapping[str, Any], windows: str = CROSS) -> ModelCounts:
    """Count a model.

    Args:
        model: the ``model`` section of a configuration as plain values.
        windows: whether attention crosses documents; where it does not, each layer saves a mask.
            FLOPs are those of windows of one document.

    Raises:
        UnknownCostError: a component has no counts.
    """
    vocab, context, width = model["vocab_size"], model["context_length"], model["d_model"]
    layers, heads = model["num_layers"], model["num_heads"]
    attention, attentions = _attention(model)
    rotated = width // heads if attention.d_rotated is None else attention.d_rotated
    pos = counts_of("model.pos", model["pos"])(
        d_model=width, d_head=rotated, context_length=context
    )
    ffn = counts_of("model.ffn", model["ffn"])(d_model=width, d_ff=feed_forward_width(model))
    norm = counts_of("model.norm", model["norm"])()
    embedding = _counts(model, "embedding", TOKEN_EMBEDDING)(
        {"num_layers": layers, "d_values": attention.d_values}, vocab_size=vocab, d_model=width
    )
    block: BlockCounts = _counts(model, "block", STANDARD_BLOCK)()
    residual = _counts(model, "residual", PLAIN_RESIDUAL)(d_model=width, num_layers=layers)
    head = _counts(model, "head", LINEAR_HEAD)(d_model=width, vocab_size=vocab)
    if model["tie_embeddings"]:
        head = dataclasses.replace(head, parameters=head.parameters - vocab * width, shapes=())
    components: tuple[Component, ...] = (
        Component("embedding", OTHER, 1, False, embedding),
        Component("positions", OTHER, 1, False, pos),
        *attentions,
        Component("feed-forward", FFN, layers, True, ffn),
        Component("norms", OTHER, block.num_branches * layers, True, norm.wrap(width)),
        Component("final norm", OTHER, 1, False, norm.final(width)),
        Component("tied head" if model["tie_embeddings"] else "head", HEAD, 1, False, head),
    )
    further = (
        Component("blocks", OTHER, layers, True, block.own),
        Component("residual", OTHER, 1, False, residual),
    )
    components += tuple(one for one in further if one.counts != ComponentCounts())
    if windows == DOCUMENT:
        mask = SavedTensor("mask of documents", 0, Kind.FLOAT32, per_pair=1)
        counts = ComponentCounts(saved=(mask,), textbook=(mask,))
        components += (Component("mask of documents", OTHER, layers, True, counts),)
    if model.get("dropout"):  # configurations of earlier versions do not have it
        components += _dropout(width, block.num_branches * layers)
    return ModelCounts(vocab, context, width, layers, heads, components)


def _attention(model: Mapping[str, Any]) -> tuple[ComponentCounts, tuple[Component, ...]]:
    """Return the counts of one layer's attention and the components of all, which may differ."""
    layers, count = model["num_layers"], counts_of("model.attention", model["attention"])
    of_layers = [
        count(
            {"layer": layer, "num_layers": layers, "context_length": model["context_length"]},
            d_model=model["d_model"],
            num_heads=model["num_heads"],
        )
        for layer in range(layers)
    ]
    components = []
    for counts, times in collections.Counter(of_layers).items():
        window = "" if counts.window is None else f", window of {counts.window}"
        projections = dataclasses.replace(counts, products_per_pair=0)
        scores = ComponentCounts(products_per_pair=counts.products_per_pair, window=counts.window)
        components += [
            Component(f"attention projections{window}", ATTENTION, times, True, projections),
            Component(f"attention scores and mixing{window}", ATTENTION, times, True, scores),
        ]
    return of_layers[0], tuple(components)


def _counts(model: Mapping[str, Any], key: str, default: run_config.Component) -> Any:
    """Return the counts of a component that configurations of earlier versions do not have."""
    return counts_of(f"model.{key}", model.get(key) or default.as_dict())


def _dropout(width: int, branches: int) -> tuple[Component, ...]:
    """Count the masks of dropout on the embeddings and on the output of each sublayer."""
    counts = ComponentCounts(
        saved=(SavedTensor("mask", width, Kind.MASK),), textbook=(SavedTensor("kept", width),)
    )
    return (
        Component("dropout of embeddings", OTHER, 1, False, counts),
        Component("dropout", OTHER, branches, True, counts),
    )


def count_optimizer(optim: Mapping[str, Any], model: ModelCounts) -> OptimizerCounts:
    """Count an optimizer of a model.

    Raises:
        UnknownCostError: the optimizer has no counts, or some parameters have settings or an
            optimizer of their own that change them.
    """
    for index, entry in enumerate(group_entries(optim)):
        changed = [key for key in entry if key not in _WITHOUT_COST]
        if changed:
            raise UnknownCostError(
                f"optim.groups[{index}].{changed[0]}: the size of the state of these parameters is "
                "unknown before a run measures it",
                "start the run, whose preflight measures it",
            )
    optim = without_groups(optim)
    hidden = model.stored_hidden_parameters
    counts: OptimizerCounts = counts_of("optim", optim)(
        {"shapes": model.shapes}, hidden=hidden, other=model.parameters - hidden
    )
    return counts


def count_update_flops(config: Mapping[str, Any]) -> int:
    """Return the training FLOPs per update: three times those of the forward passes.

    They are those of all matrix products, two per multiplication, with the full square of attention
    scores (Chowdhery et al. 2022, appendix B) and with the output layer. Norms, activation
    functions and the optimizer do not count.

    Args:
        config: a configuration as plain values.

    Raises:
        UnknownCostError: a component has no counts.
    """
    batch_size = int(config["training"]["batch_size"])
    return batch_size * count_model(config["model"]).training_flops()


def update_flops(config: Mapping[str, Any]) -> int | None:
    """Return :func:`count_update_flops`, or None if a component has no counts."""
    try:
        return count_update_flops(config)
    except UnknownCostError:
        return None
