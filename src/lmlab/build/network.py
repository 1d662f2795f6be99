"""Build a Transformer from the ``model`` node of the configuration."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch

from lmlab.build.bound_parametrization import BoundParametrization
from lmlab.build.instantiate import BoundTarget, bind
from lmlab.config.auto_width import auto_width
from lmlab.config.run_config import Model
from lmlab.errors import ConfigError
from lmlab.nn.pos import Positions, score_bias
from lmlab.nn.transformer import Transformer
from lmlab.runtime.random_streams import derive_seed, seeded


def build_network(model: Model, init_seed: int = 0) -> Transformer:
    """Build the model with the weights that torch's modules start with; see ``model.init``."""
    return network_builder(model, init_seed)()


def network_builder(model: Model, init_seed: int) -> Callable[..., Transformer]:
    """Return a function that builds the model; its keyword arguments replace sizes.

    Args:
        model: the node ``model`` of the configuration.
        init_seed: seed of what the constructors draw, such as tables of random features.
    """
    return functools.partial(
        _build,
        seed=derive_seed(init_seed, "network"),
        vocab_size=model.vocab_size,
        context_length=model.context_length,
        d_model=model.d_model,
        num_layers=model.num_layers,
        num_heads=model.num_heads,
        d_ff=None if model.d_ff == "auto" else int(model.d_ff),
        tie_embeddings=model.tie_embeddings,
        dropout=model.dropout,
        norm=bind(model.norm),
        pos=bind(model.pos),
        ffn=bind(model.ffn),
        attention=bind(model.attention),
        embedding=bind(model.embedding),
        block=bind(model.block),
        residual=bind(model.residual),
        head=bind(model.head),
        param=BoundParametrization.of(model),
    )


def _build(
    *,
    norm: BoundTarget,
    pos: BoundTarget,
    ffn: BoundTarget,
    attention: BoundTarget,
    embedding: BoundTarget,
    block: BoundTarget,
    residual: BoundTarget,
    head: BoundTarget,
    param: BoundParametrization,
    seed: int,
    **sizes: Any,
) -> Transformer:
    d_model, num_heads = sizes["d_model"], sizes["num_heads"]
    if sizes["d_ff"] is None:
        sizes["d_ff"] = auto_width(ffn.target, d_model)
    factors = param.factors()
    num_layers = sizes["num_layers"]

    def by_layer(part: BoundTarget) -> Callable[[int], Callable[..., Any]]:
        return lambda layer: part.load(
            layer=layer, num_layers=num_layers, context_length=sizes["context_length"]
        )

    with seeded(seed):
        return Transformer(
            norm=norm(),
            pos=_build_positions(
                pos,
                d_model,
                num_heads,
                _rotated_width(attention, d_model, num_heads),
                sizes["context_length"],
            ),
            ffn=by_layer(ffn),
            attention=by_layer(attention),
            embedding=embedding.load(num_layers=num_layers),
            block=by_layer(block),
            residual=residual.load(),
            head=head.load(),
            query_factor=factors.queries,
            residual_factor=factors.residual,
            logit_factor=factors.logits,
            **sizes,
        )


def _build_positions(
    pos: BoundTarget, d_model: int, num_heads: int, d_head: int, context_length: int
) -> Positions:
    """Build the position encoding, and check that its bias hides later keys.

    Raises:
        ConfigError: a token could attend to the one after it.
    """
    encoding: Positions = pos(d_model=d_model, d_head=d_head, context_length=context_length)
    find_bias = score_bias(encoding)
    if find_bias is not None and context_length > 1:
        q_BHTK = torch.zeros(1, num_heads, 2, d_head)
        bias_BHTS = find_bias(q_BHTK, q_BHTK, None, None)
        # Costs are counted on a model that has shapes but no values.
        if not bias_BHTS.is_meta and not bool((bias_BHTS[..., 0, 1] == -math.inf).all()):
            raise ConfigError(
                f"model.pos._target_={pos.target}: expected a score_bias of -inf where a key comes "
                "after its query, so that no token attends to later ones",
                "mask the result of score_bias, for keys after their query, with -inf",
            )
    return encoding


def _rotated_width(attention: BoundTarget, d_model: int, num_heads: int) -> int:
    """Return the width of the features of a head that the position encoding rotates.

    An attention that rotates a part of each head, or wider ones, says so in a static method
    ``rotated_width``, which is called with ``d_model``, ``num_heads`` and the settings it names.
    """
    find: Callable[..., int] | None = getattr(attention.load().func, "rotated_width", None)
    if find is None:
        return d_model // num_heads
    named = inspect.signature(find).parameters
    settings = {key: value for key, value in attention.parameters.items() if key in named}
    return find(d_model=d_model, num_heads=num_heads, **settings)
