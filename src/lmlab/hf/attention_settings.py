"""Attention in ``config.json``: windows, gates and latents. No torch."""

from __future__ import annotations

from typing import Any

from lmlab.errors import DataError
from lmlab.nn.latent_widths import LatentWidths, latent_widths
from lmlab.nn.window_layout import GLOBAL, LOCAL, window_of_layer

CAUSAL = "lmlab.nn.attention.CausalSelfAttention"
GATED = "lmlab.nn.gated_attention.GatedAttention"
LATENT = "lmlab.nn.latent_attention.LatentAttention"
# Targets and their names in modeling_lmlab.
ATTENTIONS = {CAUSAL: "causal", GATED: "gated", LATENT: "latent"}
SLIDING, FULL = "sliding_attention", "full_attention"
_LATENT_NORM_EPS = 1e-6  # the default of latent attention
# Names of the widths in transformers, and in lmlab.
LATENT_SIZES = {
    "kv_lora_rank": "kv_lora_rank", "q_lora_rank": "q_lora_rank", "qk_nope_head_dim": "d_nope",
    "qk_rope_head_dim": "d_rope", "v_head_dim": "d_value",
}  # fmt: skip


class AttentionSettings:
    """Settings of the attention of a ``model`` section.

    Attributes:
        kind: name in :mod:`lmlab.hf.modeling_lmlab`.
        window: width of the sliding window; None if no layer has one.
        layer_types: ``sliding_attention`` or ``full_attention`` for each layer.
        latent_norm_eps: epsilon of the norms of the latents.
    """

    def __init__(self, model: dict[str, Any]) -> None:
        self._model = model
        self._node = node = model["attention"]
        self.kind = ATTENTIONS[node["_target_"]]
        pattern, length = node.get("window_pattern") or [LOCAL], model["context_length"]
        windows = [
            window_of_layer(node.get("window"), pattern, layer, length)
            for layer in range(model["num_layers"])
        ]
        self.window = next((width for width in windows if width is not None), None)
        self.layer_types = [FULL if width is None else SLIDING for width in windows]
        self.latent_norm_eps = float(node.get("latent_norm_eps", _LATENT_NORM_EPS))

    def has_window_everywhere(self) -> bool:
        """Whether every layer has the window."""
        return FULL not in self.layer_types

    def widths(self) -> LatentWidths:
        """Return the widths of latent attention."""
        return latent_widths(
            d_model=self._model["d_model"],
            num_heads=self._model["num_heads"],
            **{name: self._node.get(name) for name in LATENT_SIZES.values()},
        )

    def to_transformers(self) -> dict[str, Any]:
        """Return the window under the names of transformers; nothing without one."""
        if self.window is None:
            return {}
        return {
            "use_sliding_window": True,
            "sliding_window": self.window,
            "max_window_layers": 0,
            "layer_types": self.layer_types,
        }

    def to_lmlab(self) -> dict[str, Any]:
        """Return what differs from plain causal attention, for the exported class.

        Windows have other names than in transformers, whose caches would drop keys for theirs.
        """
        settings: dict[str, Any] = {} if self.kind == "causal" else {"attention": self.kind}
        if self.kind == "latent":
            return (
                settings | latent_sizes(self.widths()) | {"latent_norm_eps": self.latent_norm_eps}
            )
        if self.window is not None:
            settings |= {
                "window": self.window,
                "window_layers": [kind == SLIDING for kind in self.layer_types],
            }
        return settings


def latent_sizes(widths: LatentWidths) -> dict[str, Any]:
    """Return the widths of latent attention under the names of transformers."""
    return {
        "kv_lora_rank": widths.kv_rank,
        "q_lora_rank": widths.q_rank,
        "qk_nope_head_dim": widths.d_nope,
        "qk_rope_head_dim": widths.d_rope,
        "v_head_dim": widths.d_value,
    }


def latent_from_hf(config: dict[str, Any]) -> dict[str, Any]:
    """Return the node of latent attention."""
    sizes = {
        ours: None if config[theirs] is None else int(config[theirs])
        for theirs, ours in LATENT_SIZES.items()
    }
    eps = float(config.get("latent_norm_eps", _LATENT_NORM_EPS))
    return {"_target_": LATENT, **sizes, "latent_norm_eps": eps}


def lmlab_window(config: dict[str, Any]) -> dict[str, Any]:
    """Return the window of an export for the exported class; nothing without one."""
    if config.get("window") is None:
        return {}
    return _window(int(config["window"]), [bool(one) for one in config["window_layers"]])


def transformers_window(config: dict[str, Any], default_layers: int) -> dict[str, Any]:
    """Return the window of Mistral or Qwen3; nothing where it hides no token.

    Args:
        config: the content of ``config.json``, in which the window is used.
        default_layers: number of first layers without the window where no ``layer_types`` say it.

    Raises:
        DataError: a layer has another kind of attention.
    """
    layers, width = int(config["num_hidden_layers"]), config.get("sliding_window")
    kinds = config.get("layer_types")
    if kinds is None:
        first = min(layers, default_layers)
        kinds = [FULL] * first + [SLIDING] * (layers - first)
    if set(kinds) - {FULL, SLIDING} or len(kinds) != layers:
        raise DataError(
            f"config.json: layer_types={kinds}: expected {FULL} or {SLIDING} for each of "
            f"{layers} layers"
        )
    if width is None or SLIDING not in kinds:
        return {}
    if int(width) >= int(config["max_position_embeddings"]):
        return {}
    return _window(int(width), [kind == SLIDING for kind in kinds])


def _window(width: int, is_local: list[bool]) -> dict[str, Any]:
    """Return the settings of a window, with the shortest pattern that repeats."""
    period = next(
        size
        for size in range(1, len(is_local) + 1)
        if all(one == is_local[layer % size] for layer, one in enumerate(is_local))
    )
    pattern = [LOCAL if one else GLOBAL for one in is_local[:period]]
    return {"window": width, "window_pattern": pattern}
