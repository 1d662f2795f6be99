"""A model's configuration as Hugging Face's ``config.json``, and back. JSON only, no torch.

Four architectures are written: ``llama``, ``qwen3`` (Llama with normalised queries and keys) and
``gpt2`` where they compute exactly what the model does, else ``lmlab``, whose class is exported
with the weights (:mod:`lmlab.hf.modeling_lmlab`). Where even that does not know a part, the export
is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lmlab.errors import ConfigError, DataError

# The parts that an exported model may have: what lmlab calls them, and modeling_lmlab.
NORMS = {
    "lmlab.nn.norm.PreRMSNorm": "pre_rms",
    "lmlab.nn.norm.PostRMSNorm": "post_rms",
    "lmlab.nn.norm.PreLayerNorm": "pre_layer",
    "lmlab.nn.norm.NoNorm": "none",
}
POSITIONS = {
    "lmlab.nn.pos.RoPE": "rope",
    "lmlab.nn.pos.NoPE": "none",
    "lmlab.nn.pos.LearnedPositions": "learned",
}
FFNS = {
    "lmlab.nn.ffn.SwiGLU": "swiglu",
    "lmlab.nn.ffn.SiLU": "silu",
    "lmlab.nn.ffn.GELU": "gelu",
    "lmlab.nn.ffn.ReLU2": "relu2",
}
ATTENTION = "lmlab.nn.attention.CausalSelfAttention"
_QK_NORM_EPS = 1e-5  # the attention's own default
REMOTE_MODULE = "modeling_lmlab"


def to_hf(model: dict[str, Any], d_ff: int) -> dict[str, Any]:
    """The content of ``config.json`` for a model.

    Args:
        model: the ``model`` node of a frozen configuration.
        d_ff: F, which the node may leave open.

    Raises:
        ConfigError: a part of the model is none of lmlab's own.
    """
    parts = _Parts.of(model)
    shape = {
        "vocab_size": model["vocab_size"],
        "tie_word_embeddings": model["tie_embeddings"],
        "dtype": "float32",
    }
    if parts.are_llama():
        return shape | _llama(model, parts, d_ff)
    if parts.are_gpt2() and parts.kv_heads == model["num_heads"]:
        return shape | _gpt2(model, parts, d_ff)
    return shape | _own(model, parts, d_ff)


def from_hf(config: dict[str, Any]) -> dict[str, Any]:
    """The ``model`` node for the content of ``config.json``, without ``init``.

    Raises:
        DataError: the architecture, or a setting of it, is none that lmlab computes exactly.
    """
    readers = {"llama": _from_llama, "qwen3": _from_llama, "gpt2": _from_gpt2, "lmlab": _from_own}
    kind = config.get("model_type")
    if kind not in readers:
        raise DataError(f"config.json: model_type={kind}: accepted are {', '.join(readers)}")
    try:
        return readers[kind](config)
    except KeyError as error:
        raise DataError(f"config.json: {error.args[0]} is missing") from error


def read(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``config.json``. Raises :class:`DataError` where there is none."""
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no settings")
    return content


class _Parts:
    """A model's parts by the names of :mod:`lmlab.hf.modeling_lmlab`."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.norm = _name(model, "norm", NORMS)
        self.position = _name(model, "pos", POSITIONS)
        self.ffn = _name(model, "ffn", FFNS)
        attention = model["attention"]
        _name(model, "attention", {ATTENTION: "causal"})
        self.norm_eps = float(model["norm"].get("eps", 0.0))
        self.theta = float(model["pos"].get("theta", 0.0))
        self.kv_heads = attention.get("num_kv_heads") or model["num_heads"]
        self.qk_norm = bool(attention.get("qk_norm", False))
        self.qk_norm_eps = float(attention.get("qk_norm_eps", _QK_NORM_EPS))

    @classmethod
    def of(cls, model: dict[str, Any]) -> _Parts:
        """Read them from a ``model`` node. Raises :class:`ConfigError` for a foreign part."""
        return cls(model)

    def are_llama(self) -> bool:
        """Whether transformers' Llama, or Qwen3, computes the same."""
        main = (self.norm, self.position, self.ffn) == ("pre_rms", "rope", "swiglu")
        return main and (not self.qk_norm or self.qk_norm_eps == self.norm_eps)

    def are_gpt2(self) -> bool:
        """Whether transformers' GPT-2 computes the same, its biases being zero."""
        main = (self.norm, self.position) == ("pre_layer", "learned")
        return main and self.ffn != "swiglu" and not self.qk_norm


def _name(model: dict[str, Any], kind: str, names: dict[str, str]) -> str:
    target = model[kind]["_target_"]
    if target not in names:
        raise ConfigError(
            f"model.{kind}={target}: it cannot be exported, since transformers would not know how "
            f"to compute it; parts that can be: {', '.join(names)}"
        )
    return names[target]


def _llama(model: dict[str, Any], parts: _Parts, d_ff: int) -> dict[str, Any]:
    kind = "qwen3" if parts.qk_norm else "llama"
    return {
        "model_type": kind,
        "architectures": ["Qwen3ForCausalLM" if parts.qk_norm else "LlamaForCausalLM"],
        "hidden_size": model["d_model"],
        "intermediate_size": d_ff,
        "num_hidden_layers": model["num_layers"],
        "num_attention_heads": model["num_heads"],
        "num_key_value_heads": parts.kv_heads,
        "head_dim": model["d_model"] // model["num_heads"],
        "max_position_embeddings": model["context_length"],
        "rms_norm_eps": parts.norm_eps,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "rope_theta": parts.theta,
        "rope_scaling": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": parts.theta},
        "use_sliding_window": False,
    }


def _gpt2(model: dict[str, Any], parts: _Parts, d_ff: int) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": model["d_model"],
        "n_inner": d_ff,
        "n_layer": model["num_layers"],
        "n_head": model["num_heads"],
        "n_positions": model["context_length"],
        "layer_norm_epsilon": parts.norm_eps,
        "activation_function": parts.ffn,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
    }


def _own(model: dict[str, Any], parts: _Parts, d_ff: int) -> dict[str, Any]:
    return {
        "model_type": "lmlab",
        "architectures": ["LMLabForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{REMOTE_MODULE}.LMLabConfig",
            "AutoModelForCausalLM": f"{REMOTE_MODULE}.LMLabForCausalLM",
        },
        "hidden_size": model["d_model"],
        "intermediate_size": d_ff,
        "num_hidden_layers": model["num_layers"],
        "num_attention_heads": model["num_heads"],
        "num_key_value_heads": parts.kv_heads,
        "max_position_embeddings": model["context_length"],
        "norm": parts.norm,
        "norm_eps": parts.norm_eps,
        "position": parts.position,
        "rope_theta": parts.theta,
        "ffn": parts.ffn,
        "qk_norm": parts.qk_norm,
        "qk_norm_eps": parts.qk_norm_eps,
    }


def _node(
    config: dict[str, Any], parts: dict[str, dict[str, Any]], sizes: dict[str, int]
) -> dict[str, Any]:
    return {
        "vocab_size": int(config["vocab_size"]),
        **sizes,
        "tie_embeddings": bool(config.get("tie_word_embeddings", False)),
        **parts,
    }


def _require(config: dict[str, Any], key: str, *accepted: Any) -> None:
    """Refuse a setting that changes what is computed; where it is absent it is the first."""
    value = config.get(key, accepted[0])
    if value not in accepted:
        told = " or ".join(map(str, accepted))
        raise DataError(f"config.json: {key}={value}: lmlab computes {told} only")


def _from_llama(config: dict[str, Any]) -> dict[str, Any]:
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    _require(config, "hidden_act", "silu")
    _require(config, "attention_bias", False)
    _require(config, "mlp_bias", False)
    _require(config, "head_dim", width // heads, None)
    _require(config, "use_sliding_window", False)
    _require(config, "rope_scaling", None, config.get("rope_parameters"))
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    _require(rope, "rope_type", "default")
    qk_norm = config["model_type"] == "qwen3"
    eps = float(config.get("rms_norm_eps", 1e-6))
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    attention = {
        "_target_": ATTENTION,
        "num_kv_heads": int(config.get("num_key_value_heads") or heads),
        "qk_norm": qk_norm,
    }
    return _node(
        config,
        {
            "norm": {"_target_": "lmlab.nn.norm.PreRMSNorm", "eps": eps},
            "pos": {"_target_": "lmlab.nn.pos.RoPE", "theta": float(theta)},
            "ffn": {"_target_": "lmlab.nn.ffn.SwiGLU"},
            "attention": attention | ({"qk_norm_eps": eps} if qk_norm else {}),
        },
        {
            "context_length": int(config["max_position_embeddings"]),
            "d_model": width,
            "num_layers": int(config["num_hidden_layers"]),
            "num_heads": heads,
            "d_ff": int(config["intermediate_size"]),
        },
    )


def _from_gpt2(config: dict[str, Any]) -> dict[str, Any]:
    names = {name: target for target, name in FFNS.items() if name != "swiglu"}
    activation = config.get("activation_function", "gelu_new")
    _require({"activation_function": activation}, "activation_function", *names)
    _require(config, "scale_attn_weights", True)
    _require(config, "scale_attn_by_inverse_layer_idx", False)
    width = int(config["n_embd"])
    eps = float(config.get("layer_norm_epsilon", 1e-5))
    return _node(
        config | {"tie_word_embeddings": config.get("tie_word_embeddings", True)},
        {
            "norm": {"_target_": "lmlab.nn.norm.PreLayerNorm", "eps": eps},
            "pos": {"_target_": "lmlab.nn.pos.LearnedPositions"},
            "ffn": {"_target_": names[activation]},
            "attention": {"_target_": ATTENTION, "num_kv_heads": None, "qk_norm": False},
        },
        {
            "context_length": int(config["n_positions"]),
            "d_model": width,
            "num_layers": int(config["n_layer"]),
            "num_heads": int(config["n_head"]),
            "d_ff": int(config.get("n_inner") or 4 * width),
        },
    )


def _from_own(config: dict[str, Any]) -> dict[str, Any]:
    def target(names: dict[str, str], key: str) -> dict[str, Any]:
        _require(config, key, *names.values())
        return {"_target_": next(t for t, name in names.items() if name == config[key])}

    norm, pos = target(NORMS, "norm"), target(POSITIONS, "position")
    attention = {
        "_target_": ATTENTION,
        "num_kv_heads": int(config["num_key_value_heads"]),
        "qk_norm": bool(config["qk_norm"]),
        "qk_norm_eps": float(config["qk_norm_eps"]),
    }
    return _node(
        config,
        {
            "norm": norm if config["norm"] == "none" else norm | {"eps": config["norm_eps"]},
            "pos": pos if config["position"] != "rope" else pos | {"theta": config["rope_theta"]},
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
