"""The weights of a model with the factors of its parametrization multiplied in.

Formats of other libraries have no such factors. Each is folded into weights that are linear in the
place where it stands, so that the logits stay the same.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lmlab.build.bound_parametrization import BoundParametrization
from lmlab.config.run_config import Model
from lmlab.errors import ConfigError
from lmlab.nn.init import output_projections
from lmlab.nn.transformer import Transformer

_NO_NORM = "lmlab.nn.norm.NoNorm"


def check_foldable(model: Model) -> None:
    """Check that the factors of a model can be folded, before its weights are read.

    A factor of the logits goes into the head. A tied head is also the embedding, so the factor goes
    into the gain of the last norm instead.

    Args:
        model: of a frozen configuration.

    Raises:
        ConfigError: the head is tied, the logits have a factor, and there is no norm.
    """
    if not model.tie_embeddings or model.norm.target != _NO_NORM:
        return
    if BoundParametrization.of(model).factors().logits != 1:
        raise ConfigError(
            f"model.param._target_={model.param.target}: cannot be exported with "
            "model.tie_embeddings=true and model.norm=none: the factor of the logits fits neither "
            "into the head, which is the embedding, nor into a norm before it",
            "export a model with model.tie_embeddings=false or with another norm",
        )


def folded_weights(model: Transformer) -> dict[str, Tensor]:
    """Return the state dictionary of a model without factors that computes the same logits.

    - The factor of queries goes into the matrix that computes them (of latent attention, from their
      latent where there is one), or into the gain of ``qk_norm``.
    - The factor of sublayers goes into the matrices that write into the residual stream, or into
      the gain of a norm after the sublayer.
    - The factor of logits goes into the head; into the last norm if the head is tied.

    Norms without gain get one of ones, as other formats have it.
    """
    state = model.state_dict()
    for name, part in model.named_modules():
        implied: Any = getattr(part, "implied_weights", None)
        if implied is not None:
            state |= {f"{name}.{key}": weight for key, weight in implied().items()}
    writers = output_projections(model)
    is_normed = any(name.endswith(".q_norm.weight") for name in state)
    queries = ("q_norm.weight",) if is_normed else ("q.weight", "q_up.weight")
    for name in list(state):
        part = name.rpartition(".sublayer.")[2]
        if name in writers:
            last = f"{name.partition('.sublayer.')[0]}.last.weight"
            _multiply(state, last if last in state else name, model.residual_factor)
        elif part in queries:
            _multiply(state, name, model.query_factor)
    _multiply(state, _place_of_logit_factor(model, state), model.logit_factor)
    return state


def _place_of_logit_factor(model: Transformer, state: dict[str, Tensor]) -> str:
    if model.head.weight is not model.embedding.weight:
        return "head.weight"
    # A post-norm model ends in the norm of its last feed-forward layer, which only the head reads.
    last = f"blocks.{len(model.blocks) - 1}.ffn.norm.weight"
    return "final_norm.weight" if "final_norm.weight" in state else last


def _multiply(state: dict[str, Tensor], name: str, factor: float) -> None:
    if factor != 1:
        state[name] = state[name] * factor
