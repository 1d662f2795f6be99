"""Ranges of the settings of lmlab's own parts of the model, by target. No torch.

A part of your own checks its settings in its constructor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lmlab.config.expert_rules import expert_rules
from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError, did_you_mean, nearest
from lmlab.nn.latent_widths import LatentWidths, latent_widths
from lmlab.nn.window_layout import GLOBAL, LOCAL

# Dotted key, whether its value is valid, and which values are, as the rest of "expected ...".
Rules = Iterator[tuple[str, bool, str]]

_SCALING = ("factor", "low_freq_factor", "high_freq_factor", "original_context_length")
_LATENT = "lmlab.nn.latent_attention.LatentAttention"
_LATENT_WIDTHS = ("kv_lora_rank", "q_lora_rank", "d_nope", "d_rope", "d_value")
_SCALING_EXAMPLE = (
    "set model.pos.scaling={factor:8,low_freq_factor:1,high_freq_factor:4,"
    "original_context_length:8192} as Llama 3.1 does, or model.pos.scaling=null"
)


def part_rules(model: Mapping[str, Any]) -> Rules:
    """Yield the rules of the parts of a ``model`` node.

    Raises:
        ConfigError: a setting is not valid, where the fix needs more words than its range.
    """
    for slot in ("norm", "pos", "ffn", "attention", "init"):
        rules = _RULES.get(str(model[slot]["_target_"]))
        if rules is not None:
            yield from rules(f"model.{slot}", model)


def head_width_multiple(model: Mapping[str, Any]) -> int:
    """Return the number that must divide the width of a head, given the position encoding."""
    return 1 if _latent(model) else _rotated_multiple(model)


def _rotated_multiple(model: Mapping[str, Any]) -> int:
    """Return the number that must divide the width that the position encoding rotates."""
    return _ROTATED_MULTIPLES.get(str(model["pos"]["_target_"]), 1)


def _latent(model: Mapping[str, Any]) -> LatentWidths | None:
    """Return the widths of latent attention, part of whose heads is rotated; None for another."""
    node = model["attention"]
    if node["_target_"] != _LATENT:
        return None
    return latent_widths(
        d_model=model["d_model"],
        num_heads=model["num_heads"],
        **{name: node.get(name) for name in _LATENT_WIDTHS},
    )


def _rope(path: str, model: Mapping[str, Any]) -> Rules:
    settings = model["pos"]
    yield f"{path}.theta", 0 < settings["theta"] < math.inf, "a finite number above 0"
    if settings.get("scaling") is not None:
        yield from _scaling(f"{path}.scaling", settings["scaling"])


def _partial_rope(path: str, model: Mapping[str, Any]) -> Rules:
    yield from _rope(path, model)
    fraction, latent = model["pos"]["fraction"], _latent(model)
    d_head = model["d_model"] // model["num_heads"] if latent is None else latent.d_rope
    yield f"{path}.fraction", 0 < fraction <= 1, "a number above 0 and at most 1"
    if int(d_head * fraction / 2) < 1:  # pairs, as lmlab.nn.pos.PartialRoPE counts them
        help = f"set {path}.fraction={2 / d_head:g} or more" if d_head > 2 else None
        raise ConfigError(
            f"{path}.fraction={format_value(fraction)}: expected a fraction that rotates a pair of "
            f"the features of a head or more, and a head has {d_head}",
            help or "set a smaller model.num_heads",
        )


def _scaling(path: str, scaling: Mapping[str, Any]) -> Rules:
    """Check the parameters of Llama 3's scaling of RoPE."""
    unknown = [key for key in scaling if key not in _SCALING]
    if unknown:
        hint = did_you_mean(nearest(str(unknown[0]), _SCALING))
        raise ConfigError(
            f"{path}.{unknown[0]}={format_value(scaling[unknown[0]])}: expected one of "
            f"{', '.join(_SCALING)}",
            hint or _SCALING_EXAMPLE,
        )
    missing = [key for key in _SCALING if scaling.get(key) is None]
    if missing:
        raise ConfigError(f"{path}: expected {', '.join(missing)}, too", _SCALING_EXAMPLE)
    for key, value in scaling.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        yield f"{path}.{key}", is_number and 0 < value < math.inf, "a finite number above 0"
    yield f"{path}.factor", scaling["factor"] >= 1, "1 or more"
    low = scaling["low_freq_factor"]
    yield (
        f"{path}.high_freq_factor",
        scaling["high_freq_factor"] > low,
        f"a number above {path}.low_freq_factor={format_value(low)}",
    )


def _window(path: str, model: Mapping[str, Any]) -> Rules:
    window = model["attention"].get("window")
    pattern = model["attention"].get("window_pattern", [LOCAL])
    if window is not None:
        yield f"{path}.window", window >= 1, "1 token or more, or null"
    if "window_pattern" in model["attention"]:
        is_valid = bool(pattern) and set(pattern) <= {LOCAL, GLOBAL}
        expected = f"a list of {LOCAL} and {GLOBAL}, for example [{LOCAL}, {LOCAL}, {GLOBAL}]"
        yield f"{path}.window_pattern", is_valid, expected
        is_used = window is not None or list(pattern) == [LOCAL]
        expected = f"[{LOCAL}] with {path}.window=null; set {path}.window to a number of tokens"
        yield f"{path}.window_pattern", is_used, expected


def _latent_attention(path: str, model: Mapping[str, Any]) -> Rules:
    node, widths = model["attention"], _latent(model)
    assert widths is not None
    for name in _LATENT_WIDTHS:
        if node.get(name) is not None:
            yield f"{path}.{name}", node[name] >= 1, "1 or more, or null"
    if node.get("d_rope") is not None:
        is_valid = widths.d_rope % _rotated_multiple(model) == 0
        yield f"{path}.d_rope", is_valid, "an even number, whose pairs model.pos rotates"
    if node.get("d_value") is not None:
        is_valid = widths.d_value <= widths.d_key
        yield f"{path}.d_value", is_valid, f"at most d_nope + d_rope = {widths.d_key}"
    elif widths.d_value > widths.d_key:
        raise ConfigError(
            f"{path}: expected values no wider than keys, found values of {widths.d_value} and "
            f"keys of d_nope + d_rope = {widths.d_key}",
            f"set {path}.d_value={widths.d_key}",
        )
    if "latent_norm_eps" in node:
        is_valid = 0 <= node["latent_norm_eps"] < math.inf
        yield f"{path}.latent_norm_eps", is_valid, "a finite number of 0 or more"


def _dyt(path: str, model: Mapping[str, Any]) -> Rules:
    yield f"{path}.alpha", 0 < model["norm"]["alpha"] < math.inf, "a finite number above 0"


_RULES: dict[str, Callable[[str, Mapping[str, Any]], Rules]] = {
    "lmlab.nn.moe.MoE": expert_rules,
    "lmlab.nn.attention.CausalSelfAttention": _window,
    "lmlab.nn.gated_attention.GatedAttention": _window,
    _LATENT: _latent_attention,
    "lmlab.nn.norm.PreDyT": _dyt,
    "lmlab.nn.pos.RoPE": _rope,
    "lmlab.nn.pos.PartialRoPE": _partial_rope,
}
_ROTATED_MULTIPLES = {"lmlab.nn.pos.RoPE": 2}  # it rotates pairs of features
