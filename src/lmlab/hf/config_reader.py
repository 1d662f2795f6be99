"""Reads Hugging Face's ``config.json`` as a ``model`` section. JSON only, no torch.

Settings that lmlab would not compute exactly are rejected by name.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lmlab.errors import DataError
from lmlab.hf.attention_settings import (
    ATTENTIONS,
    CAUSAL,
    FULL,
    latent_from_hf,
    lmlab_window,
    transformers_window,
)
from lmlab.hf.config_writer import FFNS, GATES, NORMS, ONLY, POSITIONS, SCALING_FACTORS
from lmlab.hf.experts import MIXTRAL, MODEL_TYPES, QWEN3_MOE, experts_from_hf
from lmlab.storage.fields import (
    AMOUNT,
    COUNT,
    FLAG,
    OBJECT,
    TEXT,
    TEXTS,
    Fields,
    check_fields,
    or_null,
)
from lmlab.storage.json_text import parse_json

_SIZES = (
    "vocab_size", "hidden_size", "num_attention_heads", "num_key_value_heads", "num_hidden_layers",
    "intermediate_size", "max_position_embeddings", "n_embd", "n_head", "n_layer", "n_positions",
    "n_inner", "head_dim", "sliding_window", "max_window_layers", "num_local_experts",
    "num_experts", "num_experts_per_tok", "moe_intermediate_size", "window", "kv_lora_rank",
    "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "first_k_dense_replace",
    "num_nextn_predict_layers",
)  # fmt: skip
_AMOUNTS = (
    "norm_alpha",
    "rms_norm_eps",
    "layer_norm_epsilon",
    "norm_eps",
    "qk_norm_eps",
    "rope_theta",
    "latent_norm_eps",
)
_FLAGS = (
    "tie_word_embeddings", "qk_norm", "norm_topk_prob", "rope_interleave", "use_sliding_window",
)  # fmt: skip
_FIELDS: Fields = {
    "model_type": or_null(TEXT),
    **dict.fromkeys(_SIZES, or_null(COUNT)),
    **dict.fromkeys(_AMOUNTS, or_null(AMOUNT)),
    **dict.fromkeys(_FLAGS, or_null(FLAG)),
    "layer_types": or_null(TEXTS), "rope_parameters": or_null(OBJECT),
    "rope_parameters.rope_theta": or_null(AMOUNT), "rope_scaling": or_null(OBJECT),
    "rope_scaling.rope_theta": or_null(AMOUNT), "rotary_scaling": or_null(OBJECT),
}  # fmt: skip
# Rotary scalings that do nothing at factor 1.
_SCALINGS_BY_FACTOR = ("linear", "dynamic", "yarn", "llama3")
# Defaults of Qwen3 in transformers.
_SLIDING_WINDOW, _MAX_WINDOW_LAYERS = 4096, 28
_MIXTRAL_THETA = 1e6  # default of Mixtral in transformers


def config_from_hf(config: dict[str, Any]) -> dict[str, Any]:
    """Convert the content of ``config.json`` to a ``model`` section without ``init``.

    Raises:
        DataError: lmlab does not support the architecture or one of its settings.
    """
    readers = dict.fromkeys(("llama", "mistral", "qwen3", *MODEL_TYPES), _from_llama)
    readers |= {"deepseek_v3": _from_deepseek, "gpt2": _from_gpt2, "lmlab": _from_lmlab}
    kind = config.get("model_type")
    if kind not in readers:
        raise DataError(f"config.json: model_type={kind}: expected one of {', '.join(readers)}")
    try:
        _require(config, "quantization_config", None)
        return readers[kind](config)
    except KeyError as error:
        raise DataError(f"config.json: missing setting {error.args[0]}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"config.json: a setting is of the wrong type: {error}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of ``config.json`` in a folder. Raises :class:`DataError`."""
    path = folder / "config.json"
    try:
        content = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object")
    return check_fields(path, content, _FIELDS)


def _target_of(names: dict[str, str], name: str) -> str:
    return next(target for target, one in names.items() if one == name)


def _model_section(
    config: dict[str, Any], parts: dict[str, dict[str, Any]], sizes: dict[str, int]
) -> dict[str, Any]:
    return {
        "vocab_size": int(config["vocab_size"]),
        **sizes,
        "tie_embeddings": bool(config.get("tie_word_embeddings", False)),
        "dropout": 0.0,
        **{group: {"_target_": target} for group, target in ONLY.items()},
        **parts,
    }


def _require(config: dict[str, Any], key: str, *supported: Any) -> None:
    """Reject a setting that lmlab does not support; its default is the first supported value."""
    value = config.get(key, supported[0])
    if value not in supported:
        supported = tuple(one for one in supported if one is not None) or (None,)
        values = " or ".join(map(str, supported))
        raise DataError(f"config.json: {key}={value}: lmlab supports only {values}")


def _from_llama(config: dict[str, Any]) -> dict[str, Any]:
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    _require(config, "head_dim", width // heads, None)
    kind = config["model_type"]
    qk_norm = kind in ("qwen3", QWEN3_MOE)
    eps = float(config.get("rms_norm_eps", 1e-6))
    attention = {
        "_target_": CAUSAL,
        "num_kv_heads": int(config.get("num_key_value_heads") or heads),
        "qk_norm": qk_norm,
    }
    attention |= {"qk_norm_eps": eps} if qk_norm else {}
    attention |= _window(config)
    if kind not in MODEL_TYPES:
        return _llama_section(config, attention)
    _require(config, "hidden_act", "silu", "swish")
    d_ff = "moe_intermediate_size" if kind == QWEN3_MOE else "intermediate_size"
    return _llama_section(config, attention, experts_from_hf(config), d_ff)


def _from_deepseek(config: dict[str, Any]) -> dict[str, Any]:
    """Read DeepSeek-V3 without experts, with features rotated as lmlab does."""
    layers = int(config["num_hidden_layers"])
    interleave = config.get("rope_interleave", True)  # the default of transformers
    _require({"rope_interleave": interleave}, "rope_interleave", False)
    dense = min(layers, int(config.get("first_k_dense_replace", 3)))
    _require({"first_k_dense_replace": dense}, "first_k_dense_replace", layers)
    predicted = config.get("num_nextn_predict_layers", config.get("num_mtp_layers", 1))
    _require({"num_nextn_predict_layers": predicted}, "num_nextn_predict_layers", 0)
    return _llama_section(config, latent_from_hf(config))


def _llama_section(
    config: dict[str, Any],
    attention: dict[str, Any],
    ffn: dict[str, Any] | None = None,
    d_ff: str = "intermediate_size",
) -> dict[str, Any]:
    """Return the section of a model whose layers but for some parts are those of Llama.

    Args:
        config: the content of ``config.json``.
        attention: its attention.
        ffn: its feed-forward layer; None for that of Llama.
        d_ff: name of F.
    """
    gates = {activation: _target_of(FFNS, name) for name, activation in GATES.items()}
    gates["swish"] = gates["silu"]  # two names of one function
    _require(config, "hidden_act", *gates)
    for key in ("attention_bias", "mlp_bias"):
        _require(config, key, False, None)
    ffn = ffn or {"_target_": gates[config.get("hidden_act", "silu")]}
    eps = float(config.get("rms_norm_eps", 1e-6))
    return _model_section(
        config,
        {
            "norm": {"_target_": "lmlab.nn.norm.PreRMSNorm", "eps": eps},
            "pos": _rope(config),
            "ffn": ffn,
            "attention": attention,
        },
        {
            "context_length": int(config["max_position_embeddings"]),
            "d_model": int(config["hidden_size"]),
            "num_layers": int(config["num_hidden_layers"]),
            "num_heads": int(config["num_attention_heads"]),
            "d_ff": int(config[d_ff]),
        },
    )


def _window(config: dict[str, Any]) -> dict[str, Any]:
    """Return the sliding window of a model of Llama's kind; nothing where no layer has one."""
    if config["model_type"] == "mistral":
        return transformers_window({"sliding_window": _SLIDING_WINDOW} | config, 0)
    if config["model_type"] == "qwen3" and config.get("use_sliding_window"):
        first = config.get("max_window_layers", _MAX_WINDOW_LAYERS)
        return transformers_window({"sliding_window": _SLIDING_WINDOW} | config, first)
    _require_full_attention(config)
    return {}


def _require_full_attention(config: dict[str, Any]) -> None:
    """Reject attention to only the last tokens, unless no text or no layer is affected."""
    kinds = config.get("layer_types")
    if kinds is not None and set(kinds) - {FULL}:
        raise DataError(f"config.json: layer_types={kinds}: lmlab supports only {FULL}")
    is_mixtral = config["model_type"] == MIXTRAL  # its window is null unless it is set, and counts
    window = config.get("sliding_window", None if is_mixtral else _SLIDING_WINDOW)
    is_wide = window is None or window >= int(config["max_position_embeddings"])
    if is_mixtral and not is_wide:
        _require(config, "sliding_window", None)
    first = config.get("max_window_layers", _MAX_WINDOW_LAYERS)
    is_unused = kinds is not None or int(config["num_hidden_layers"]) <= first
    if not is_wide and not is_unused:
        _require(config, "use_sliding_window", False, None)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Return the position encoding, from the places where transformers 4 and 5 keep its settings.

    A scaling by a factor of 1 scales nothing, no matter its type.
    """
    key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    rope = config.get(key) or {}
    if not isinstance(rope, dict):
        raise DataError(f"config.json: {key}={rope!r}: expected an object or null")
    kind = rope.get("rope_type", rope.get("type", "default"))
    scales = kind not in ("default", None) and not (
        kind in _SCALINGS_BY_FACTOR
        and rope.get("factor") == 1
        and rope.get("attention_factor") in (None, 1)
        and not any(rope.get(name) for name in ("mscale", "mscale_all_dim"))
    )
    scaling = None
    if scales and kind == "llama3":
        scaling = _llama3_scaling(key, rope, config)
    elif scales:
        factor = f" with factor {rope['factor']}" if "factor" in rope else ""
        shown = kind if str(kind).isprintable() else repr(kind)
        raise DataError(
            f"config.json: {key}.rope_type={shown}{factor}: lmlab supports only default and llama3"
        )
    for settings in (config, rope):
        _require(settings, "partial_rotary_factor", 1, None)
    found = (
        place.get("rope_theta") for place in (rope, config, config.get("rope_parameters") or {})
    )
    usual = _MIXTRAL_THETA if config["model_type"] == MIXTRAL else 10000.0
    theta = float(next((theta for theta in found if theta is not None), usual))
    return {"_target_": "lmlab.nn.pos.RoPE", "theta": theta, "scaling": scaling}


def _llama3_scaling(key: str, rope: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of Llama 3's scaling, which ``attention_factor`` does not change."""
    missing = [name for name in SCALING_FACTORS if rope.get(name) is None]
    if missing:
        raise DataError(f"config.json: {key}.rope_type=llama3: expected {', '.join(missing)}, too")
    length = "original_max_position_embeddings"
    places = (rope.get(length), config.get(length), config["max_position_embeddings"])
    scaling = {name: float(rope[name]) for name in SCALING_FACTORS}
    scaling["original_context_length"] = int(next(one for one in places if one is not None))
    return _checked_scaling(key, scaling)


def _checked_scaling(key: str, scaling: dict[str, Any]) -> dict[str, Any]:
    """Check the relation of the factors. Raises :class:`DataError`."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    is_valid = scaling["factor"] >= 1 and 0 < low < high < math.inf
    if not is_valid or scaling["original_context_length"] < 1:
        raise DataError(
            f"config.json: {key}={scaling}: expected a factor of 1 or more, and "
            "0 < low_freq_factor < high_freq_factor"
        )
    return scaling


def _from_gpt2(config: dict[str, Any]) -> dict[str, Any]:
    names = {name: target for target, name in FFNS.items() if name not in GATES}
    names["swish"] = names["silu"]
    activation = config.get("activation_function", "gelu_new")
    _require({"activation_function": activation}, "activation_function", *names)
    _require(config, "scale_attn_weights", True)
    _require(config, "scale_attn_by_inverse_layer_idx", False, None)
    _require(config, "add_cross_attention", False, None)
    width = int(config["n_embd"])
    eps = float(config.get("layer_norm_epsilon", 1e-5))
    return _model_section(
        config | {"tie_word_embeddings": config.get("tie_word_embeddings", True)},
        {
            "norm": {"_target_": "lmlab.nn.norm.PreLayerNorm", "eps": eps},
            "pos": {"_target_": "lmlab.nn.pos.LearnedPositions"},
            "ffn": {"_target_": names[activation]},
            "attention": {"_target_": CAUSAL, "num_kv_heads": None, "qk_norm": False},
        },
        {
            "context_length": int(config["n_positions"]),
            "d_model": width,
            "num_layers": int(config["n_layer"]),
            "num_heads": int(config["n_head"]),
            "d_ff": int(config.get("n_inner") or 4 * width),
        },
    )


def _from_lmlab(config: dict[str, Any]) -> dict[str, Any]:
    config = {"attention": "causal"} | config  # exports of plain attention do not name it

    def target(names: dict[str, str], key: str) -> dict[str, Any]:
        _require(config, key, *names.values())
        return {"_target_": _target_of(names, config[key])}

    norm, pos = target(NORMS, "norm"), target(POSITIONS, "position")
    if config["norm"] == "pre_dyt":
        norm["alpha"] = float(config["norm_alpha"])
    elif config["norm"] != "none":
        norm["eps"] = config["norm_eps"]
    if config["position"] in ("rope", "partial_rope"):
        scaling = config.get("rotary_scaling")
        scaling = None if scaling is None else _checked_scaling("rotary_scaling", scaling)
        pos |= {"theta": config["rope_theta"], "scaling": scaling}
    if config["position"] == "partial_rope":
        pos["fraction"] = float(config["rotary_fraction"])
    attention = target(ATTENTIONS, "attention")
    if config["attention"] == "latent":
        attention = latent_from_hf(config)
    else:
        attention |= {
            "num_kv_heads": int(config["num_key_value_heads"]),
            "qk_norm": bool(config["qk_norm"]),
            "qk_norm_eps": float(config["qk_norm_eps"]),
            **lmlab_window(config),
        }
    return _model_section(
        config,
        {
            "norm": norm,
            "pos": pos,
            "ffn": target(FFNS, "ffn"),
            "attention": attention,
        },
        {
            "context_length": int(config["max_position_embeddings"]),
            "d_model": int(config["hidden_size"]),
            "num_layers": int(config["num_hidden_layers"]),
            "num_heads": int(config["num_attention_heads"]),
            "d_ff": int(config["intermediate_size"]),
        },
    )
