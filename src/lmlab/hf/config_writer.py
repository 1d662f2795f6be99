"""Writes a model's configuration as Hugging Face's ``config.json``. JSON only, no torch.

The architecture is ``llama``, ``mistral`` (Llama with a sliding window), ``qwen3`` (Llama with
normalised queries and keys, and windows), ``llama`` or ``qwen3`` with experts
(:mod:`lmlab.hf.experts`), ``deepseek_v3`` (without experts) or ``gpt2`` if it computes exactly what
the model computes. Otherwise it is ``lmlab``, whose class is exported with the weights
(:mod:`lmlab.hf.modeling_lmlab`). A model with a component that this class does not support cannot
be exported.
"""

from __future__ import annotations

from typing import Any

from lmlab.errors import ConfigError
from lmlab.hf.attention_settings import ATTENTIONS, AttentionSettings, latent_sizes
from lmlab.hf.experts import MOE, experts_to_hf

# Components of an exported model: their targets in lmlab and their names in modeling_lmlab.
NORMS = {
    "lmlab.nn.norm.PreRMSNorm": "pre_rms",
    "lmlab.nn.norm.PostRMSNorm": "post_rms",
    "lmlab.nn.norm.PreLayerNorm": "pre_layer",
    "lmlab.nn.norm.SandwichRMSNorm": "sandwich_rms",
    "lmlab.nn.norm.PreDyT": "pre_dyt",
    "lmlab.nn.norm.NoNorm": "none",
    # Exported with gains of one, and read as the first of its name.
    "lmlab.nn.norm.PreGainlessRMSNorm": "pre_rms",
}
POSITIONS = {
    "lmlab.nn.pos.RoPE": "rope",
    "lmlab.nn.pos.PartialRoPE": "partial_rope",
    "lmlab.nn.pos.ALiBi": "alibi",
    "lmlab.nn.pos.NoPE": "none",
    "lmlab.nn.pos.LearnedPositions": "learned",
}
FFNS = {
    "lmlab.nn.ffn.SwiGLU": "swiglu",
    "lmlab.nn.ffn.GEGLU": "geglu",
    "lmlab.nn.ffn.ReGLU": "reglu",
    "lmlab.nn.ffn.SiLU": "silu",
    "lmlab.nn.ffn.GELU": "gelu",
    "lmlab.nn.ffn.ReLU2": "relu2",
}
# The activation functions of gated feed-forward layers, named as in transformers.
GATES = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}
_EXPERTS = "experts"
SCALING_FACTORS = ("factor", "low_freq_factor", "high_freq_factor")
# Groups of which only one option can be exported.
ONLY = {
    "embedding": "lmlab.nn.embedding.TokenEmbedding", "block": "lmlab.nn.block.Block",
    "residual": "lmlab.nn.residual.PlainResidual", "head": "lmlab.nn.head.LinearHead",
}  # fmt: skip
_QK_NORM_EPS = 1e-5  # the default of the attention
_DEEPSEEK_LATENT_EPS = 1e-6  # fixed in the code of transformers
REMOTE_MODULE = "modeling_lmlab"
REMOTE_FILES = (f"{REMOTE_MODULE}.py", "parts_lmlab.py")  # the class, and what it imports


def config_to_hf(model: dict[str, Any], d_ff: int) -> dict[str, Any]:
    """Return the content of ``config.json`` for a model.

    Args:
        model: the ``model`` section of a frozen configuration.
        d_ff: F, which the section may leave to the feed-forward layer.

    Raises:
        ConfigError: a component of the model is not one of lmlab's, or no class of transformers
            computes what its experts do.
    """
    components = _Components(model)
    shape = {
        "vocab_size": model["vocab_size"],
        "tie_word_embeddings": model["tie_embeddings"],
        "dtype": "float32",
    }
    if components.ffn == _EXPERTS:
        llama = shape | _llama(model, components, d_ff)
        return experts_to_hf(model["ffn"], llama, components.is_like_llama())
    if components.match_llama():
        return shape | _llama(model, components, d_ff)
    if components.match_deepseek():
        return shape | _deepseek(model, components, d_ff)
    if components.match_gpt2() and components.kv_heads == model["num_heads"]:
        return shape | _gpt2(model, components, d_ff)
    return shape | _lmlab(model, components, d_ff)


class _Components:
    """Components of a model, named as in :mod:`lmlab.hf.modeling_lmlab`.

    Raises:
        ConfigError: a component is not one of lmlab's.
    """

    def __init__(self, model: dict[str, Any]) -> None:
        self.norm = _name(model, "norm", NORMS)
        self.position = _name(model, "pos", POSITIONS)
        self.ffn = _name(model, "ffn", FFNS | {MOE: _EXPERTS})
        attention = model["attention"]
        _name(model, "attention", ATTENTIONS)
        self.attention = AttentionSettings(model)
        for group, target in ONLY.items():
            if group in model:  # configurations of earlier versions do not have it
                _name(model, group, {target: ""})
        self.norm_eps = float(model["norm"].get("eps", 0.0))
        self.norm_alpha = model["norm"].get("alpha")
        self.theta = float(model["pos"].get("theta", 0.0))
        self.fraction = model["pos"].get("fraction")
        self.scaling = model["pos"].get("scaling")
        self.kv_heads = attention.get("num_kv_heads") or model["num_heads"]
        self.qk_norm = bool(attention.get("qk_norm", False))
        self.qk_norm_eps = float(attention.get("qk_norm_eps", _QK_NORM_EPS))

    def match_llama(self) -> bool:
        """Whether Llama, Mistral or Qwen3 of transformers computes the same."""
        if self.ffn not in GATES or not self._has_llama_norms():
            return False
        window = self.attention.window
        has_class = window is None or self.qk_norm or self.attention.has_window_everywhere()
        return self.attention.kind == "causal" and has_class

    def is_like_llama(self) -> bool:
        """Whether Llama or Qwen3 computes the same with a feed-forward layer of its own."""
        is_plain = self.attention.kind == "causal" and self.attention.window is None
        return is_plain and self._has_llama_norms()

    def match_deepseek(self) -> bool:
        """Whether DeepSeek-V3 of transformers computes the same with no layer of experts."""
        if self.ffn not in GATES or not self._has_llama_norms() or self.scaling is not None:
            return False
        attention = self.attention
        return attention.kind == "latent" and attention.latent_norm_eps == _DEEPSEEK_LATENT_EPS

    def match_gpt2(self) -> bool:
        """Whether GPT-2 of transformers with zero biases computes the same."""
        matches = (self.norm, self.position) == ("pre_layer", "learned")
        matches = matches and self.attention.kind == "causal" and self.attention.window is None
        return matches and self.ffn not in GATES and not self.qk_norm

    def _has_llama_norms(self) -> bool:
        """Whether norms and positions are those of Llama or Qwen3."""
        matches = (self.norm, self.position) == ("pre_rms", "rope")
        return matches and (not self.qk_norm or self.qk_norm_eps == self.norm_eps)


def _name(model: dict[str, Any], kind: str, names: dict[str, str]) -> str:
    target = model[kind]["_target_"]
    if target not in names:
        raise ConfigError(
            f"model.{kind}._target_={target}: cannot be exported, expected one of "
            f"{', '.join(names)}",
            "export a model with one of these; transformers has no code for others",
        )
    return names[target]


def _llama(model: dict[str, Any], components: _Components, d_ff: int) -> dict[str, Any]:
    kind, architecture = "llama", "LlamaForCausalLM"
    if components.qk_norm:
        kind, architecture = "qwen3", "Qwen3ForCausalLM"
    elif components.attention.window is not None:
        kind, architecture = "mistral", "MistralForCausalLM"
    window = components.attention.to_transformers()
    if kind == "mistral":  # it has the window in every layer, and no setting for others
        window = {"sliding_window": window["sliding_window"]}
    return {
        "model_type": kind,
        "architectures": [architecture],
        **_llama_sizes(model, components, d_ff),
        "num_key_value_heads": components.kv_heads,
        "head_dim": model["d_model"] // model["num_heads"],
        **_rotation_of_llama(components),
        "mlp_bias": False,
        "use_sliding_window": False,
        **window,
    }


def _deepseek(model: dict[str, Any], components: _Components, d_ff: int) -> dict[str, Any]:
    widths = components.attention.widths()
    return {
        "model_type": "deepseek_v3",
        "architectures": ["DeepseekV3ForCausalLM"],
        **_llama_sizes(model, components, d_ff),
        "num_key_value_heads": model["num_heads"],
        **latent_sizes(widths),
        **_rotation_of_llama(components),
        "rope_interleave": False,
        "first_k_dense_replace": model["num_layers"],
        "num_nextn_predict_layers": 0,
    }


def _llama_sizes(model: dict[str, Any], components: _Components, d_ff: int) -> dict[str, Any]:
    return {
        "hidden_size": model["d_model"],
        "intermediate_size": d_ff,
        "num_hidden_layers": model["num_layers"],
        "num_attention_heads": model["num_heads"],
        "max_position_embeddings": model["context_length"],
        "rms_norm_eps": components.norm_eps,
        "hidden_act": (GATES | {_EXPERTS: "silu"})[components.ffn],
        "attention_bias": False,
        "attention_dropout": 0.0,
    }


def _rotation_of_llama(components: _Components) -> dict[str, Any]:
    scaling = _rope_scaling(components.scaling)
    return {
        "rope_theta": components.theta,
        "rope_scaling": scaling,
        "rope_parameters": (scaling or {"rope_type": "default"}) | {"rope_theta": components.theta},
    }


def _rope_scaling(scaling: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return Llama 3's scaling of RoPE under the names of transformers."""
    if scaling is None:
        return None
    factors = {key: float(scaling[key]) for key in SCALING_FACTORS}
    length = int(scaling["original_context_length"])
    return {"rope_type": "llama3", **factors, "original_max_position_embeddings": length}


def _gpt2(model: dict[str, Any], components: _Components, d_ff: int) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": model["d_model"],
        "n_inner": d_ff,
        "n_layer": model["num_layers"],
        "n_head": model["num_heads"],
        "n_positions": model["context_length"],
        "layer_norm_epsilon": components.norm_eps,
        "activation_function": components.ffn,
        "attn_pdrop": 0.0,
        "embd_pdrop": model.get("dropout", 0.0),
        "resid_pdrop": model.get("dropout", 0.0),
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
    }


def _lmlab(model: dict[str, Any], components: _Components, d_ff: int) -> dict[str, Any]:
    return {
        "model_type": "lmlab",
        "architectures": ["LMLabForCausalLM"],
        "tokenizer_class": "PreTrainedTokenizerFast",  # for pipelines of transformers 4.45
        "auto_map": {
            "AutoConfig": f"{REMOTE_MODULE}.LMLabConfig",
            "AutoModelForCausalLM": f"{REMOTE_MODULE}.LMLabForCausalLM",
        },
        "hidden_size": model["d_model"],
        "intermediate_size": d_ff,
        "num_hidden_layers": model["num_layers"],
        "num_attention_heads": model["num_heads"],
        "num_key_value_heads": components.kv_heads,
        "max_position_embeddings": model["context_length"],
        "norm": components.norm,
        "norm_eps": components.norm_eps,
        "position": components.position,
        "rope_theta": components.theta,
        "ffn": components.ffn,
        "qk_norm": components.qk_norm,
        "qk_norm_eps": components.qk_norm_eps,
        **_of_some_parts(components),
        **components.attention.to_lmlab(),
    }


def _of_some_parts(components: _Components) -> dict[str, Any]:
    """Return the settings that only some norms and position encodings have."""
    settings = {
        "norm_alpha": components.norm_alpha,
        "rotary_fraction": components.fraction,
        "rotary_scaling": components.scaling,
    }
    return {key: value for key, value in settings.items() if value is not None}
