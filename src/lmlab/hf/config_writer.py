"""A model's configuration as Hugging Face's ``config.json``. JSON only, no torch.

Four architectures are written: ``llama``, ``qwen3`` (Llama with normalised queries and keys) and
``gpt2`` where they compute exactly what the model does, else ``lmlab``, whose class is exported
with the weights (:mod:`lmlab.hf.modeling_lmlab`). Where even that does not know a part, the export
is refused.
"""

from __future__ import annotations

from typing import Any

from lmlab.errors import ConfigError

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


def config_to_hf(model: dict[str, Any], d_ff: int) -> dict[str, Any]:
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
