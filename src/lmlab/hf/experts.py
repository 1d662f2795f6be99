"""A mixture of experts as Mixtral or Qwen3-MoE of transformers. JSON only, no torch.

Both are Llama with experts, Qwen3-MoE also with normalised queries and keys. Their routers take a
softmax over the experts and have neither shared experts nor biases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lmlab.errors import ConfigError, DataError

MOE = "lmlab.nn.moe.MoE"
MIXTRAL, QWEN3_MOE = "mixtral", "qwen3_moe"
MODEL_TYPES = (MIXTRAL, QWEN3_MOE)
# Name of the layer, and names of an expert's gate, up and down matrices.
_NAMES = {
    MIXTRAL: ("block_sparse_moe", ("w1", "w3", "w2")),
    QWEN3_MOE: ("mlp", ("gate_proj", "up_proj", "down_proj")),
}
_THEIRS = "as in Mixtral and Qwen3-MoE of transformers"
# What neither computes, and the value that a model must have instead.
_REQUIRED = (("scores", "softmax"), ("num_shared_experts", 0), ("bias_update_rate", None))


def experts_to_hf(
    ffn: dict[str, Any], llama: dict[str, Any], is_like_llama: bool
) -> dict[str, Any]:
    """Return ``config.json`` of a model with experts.

    Args:
        ffn: the section ``model.ffn``.
        llama: ``config.json`` of the model as Llama or Qwen3 if each layer had one expert.
        is_like_llama: whether these compute what the rest of the model does.

    Raises:
        ConfigError: transformers has no class that computes the same.
    """
    if not is_like_llama:
        raise ConfigError(
            f"model.ffn._target_={MOE}: cannot be exported with the other parts of this model, "
            f"expected those of Llama, {_THEIRS}",
            "export a model with model.norm=rms and model.pos=rope",
        )
    for key, value in _REQUIRED:
        if ffn[key] != value:
            shown = "null" if value is None else value
            raise ConfigError(
                f"model.ffn.{key}={ffn[key]}: cannot be exported, expected {shown}, {_THEIRS}",
                "export a model with this value; transformers has no class for others",
            )
    if llama["model_type"] == "qwen3":
        return llama | {
            "model_type": QWEN3_MOE,
            "architectures": ["Qwen3MoeForCausalLM"],
            "moe_intermediate_size": llama["intermediate_size"],
            "num_experts": ffn["num_experts"],
            "num_experts_per_tok": ffn["top_k"],
            "norm_topk_prob": ffn["top_k"] > 1,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        }
    if ffn["top_k"] == 1:
        raise ConfigError(
            "model.ffn.top_k=1: cannot be exported, expected 2 or more, because Mixtral of "
            "transformers multiplies a single expert by 1 and not by its score",
            "export a model with model.attention.qk_norm=true, which is a Qwen3-MoE",
        )
    return llama | {
        "model_type": MIXTRAL,
        "architectures": ["MixtralForCausalLM"],
        "num_local_experts": ffn["num_experts"],
        "num_experts_per_tok": ffn["top_k"],
        "router_jitter_noise": 0.0,
        "sliding_window": None,
    }


def experts_from_hf(config: dict[str, Any]) -> dict[str, Any]:
    """Return the section ``model.ffn`` of a ``config.json`` of :data:`MODEL_TYPES`.

    The files do not say how experts were balanced; a run that trains them uses lmlab's default.

    Raises:
        DataError: lmlab does not compute one of the settings.
    """
    is_mixtral = config["model_type"] == MIXTRAL
    top_k = int(config["num_experts_per_tok"])
    is_normed = is_mixtral or bool(config.get("norm_topk_prob", False))
    if is_normed != (top_k > 1):
        shown = "expected 2 or more" if is_normed else "expected 1 without norm_topk_prob"
        raise DataError(f"config.json: num_experts_per_tok={top_k}: {shown}")
    for key, supported in (("decoder_sparse_step", (1, None)), ("mlp_only_layers", ([], None))):
        if config.get(key) not in supported:
            raise DataError(
                f"config.json: {key}={config[key]}: lmlab supports only models with experts in "
                "every layer"
            )
    number = "num_local_experts" if is_mixtral or "num_experts" not in config else "num_experts"
    return {
        "_target_": MOE,
        "num_experts": int(config[number]),
        "top_k": top_k,
        "num_shared_experts": 0,
        "scores": "softmax",
        "balance_coefficient": 0.01,
        "bias_update_rate": None,
        "z_loss_coefficient": 0.0,
        "capacity_factor": None,
    }


def expert_names(model_type: str, weights: Iterable[str]) -> dict[str, str]:
    """Return transformers' names of the router and the experts of a layer by those of lmlab.

    Empty for models without experts.

    Args:
        model_type: of ``config.json``.
        weights: names of all weights, in either form, which say how many experts there are.
    """
    if model_type not in _NAMES:
        return {}
    layer, theirs = _NAMES[model_type]
    numbers = {int(found[1]) for name in weights if (found := re.search(r"experts\.(\d+)\.", name))}
    names = {"ffn.sublayer.router.weight": f"{layer}.gate.weight"}
    for number in sorted(numbers):
        for ours, their in zip(("gate", "up", "down"), theirs, strict=True):
            names[f"ffn.sublayer.experts.{number}.{ours}.weight"] = (
                f"{layer}.experts.{number}.{their}.weight"
            )
    return names
