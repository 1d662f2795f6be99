"""Spellings of settings that mean the same run: one form for all of them.

Identities hold settings as they were typed. Two runs are one if the canonical forms of their
settings are equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmlab.config.auto_width import auto_width
from lmlab.config.deprecated_keys import without_added_parameters
from lmlab.config.renamed_targets import RENAMED_TARGETS
from lmlab.config.signatures import read_signature
from lmlab.nn import ffn_counts

_FLOATS = (
    ("model", "dropout"), ("training", "grad_clip_norm"), ("training", "divergence_margin"),
    ("training", "ema"),
)  # fmt: skip
_OWN_ATTENTION = ("lmlab.nn.attention.", "lmlab.nn.gated_attention.")
_OTHER_NUMBERS = re.compile(r"\b(int|bool|Any|object|str)\b")


def canonical_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the form that all their spellings share.

    - An integer for a parameter that is annotated as a float is a float.
    - A parameter of a component that earlier versions did not list is missing at its default.
    - ``training.micro_batch_size`` of the full batch is null, as is
      ``model.attention.num_kv_heads`` with a key head for each head.
    - ``model.d_ff=auto`` is its number.
    - ``schedule.warmup`` and ``schedule.warmup_tokens`` are their number of steps.

    Args:
        settings: see :func:`lmlab.config.identity_settings.identity_settings`. They are trusted:
            their targets are looked up.
    """
    form = {key: with_floats(without_added_parameters(node)) for key, node in settings.items()}
    for section, key in _FLOATS:
        if key in form[section]:
            form[section] = form[section] | {key: _as_float(form[section][key])}
    training = form["training"]
    if training["micro_batch_size"] == training["batch_size"]:
        form["training"] = training | {"micro_batch_size": None}
    form["model"] = _canonical_model(form["model"])
    form["schedule"] = _canonical_schedule(
        form["schedule"],
        training["steps"],
        training["batch_size"] * form["model"]["context_length"],
    )
    return form


def mean_the_same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two nodes ``config`` of identities are spellings of one run.

    Args:
        left: settings that are trusted.
        right: settings of any content.
    """
    if left == right:
        return True
    try:
        # Equal targets are those of the trusted settings.
        return _targets(left) == _targets(right) and (
            canonical_settings(left) == canonical_settings(right)
        )
    except (KeyError, TypeError, AttributeError):
        return False  # not settings of a run


def _canonical_model(model: Mapping[str, Any]) -> dict[str, Any]:
    form = dict(model)
    if form["d_ff"] == "auto":
        form["d_ff"] = _auto_d_ff(_target(form["ffn"]), form["d_model"])
    attention = form["attention"]
    is_lmlabs = _target(attention).startswith(_OWN_ATTENTION)
    if is_lmlabs and attention.get("num_kv_heads") == form["num_heads"]:
        form["attention"] = attention | {"num_kv_heads": None}
    return form


def _auto_d_ff(target: str, d_model: int) -> int | str:
    """Return the width that ``auto`` means; ``auto`` for a layer that chooses it in its code."""
    module, _, name = target.rpartition(".")
    if module == "lmlab.nn.ffn" and hasattr(ffn_counts, name):
        width = getattr(ffn_counts, name)(d_model=d_model, d_ff=None).d_ff
    else:
        width = auto_width(target, d_model)
    return "auto" if width is None else int(width)


def _canonical_schedule(
    schedule: Mapping[str, Any], steps: int, tokens_per_step: int
) -> dict[str, Any]:
    form = dict(schedule)
    if not _target(form).startswith("lmlab.optim.lr_schedule."):
        return form
    if form.get("warmup") is not None:
        form["warmup_steps"] = round(form.pop("warmup") * steps)
    if form.get("warmup_tokens") is not None:
        form["warmup_steps"] = round(form.pop("warmup_tokens") / tokens_per_step)
    return form


def with_floats(node: Any) -> Any:
    """Return a node whose components have floats where their targets ask for them.

    Configurations are allowed integers there, which some targets refuse: AdamW of torch takes no
    ``betas=[0, 0.9]``.
    """
    if not isinstance(node, Mapping):
        return node
    form = {key: with_floats(value) for key, value in node.items()}
    if not isinstance(form.get("_target_"), str):
        return form
    try:
        signature = read_signature(_target(form))
    except LookupError:
        signature = None
    for key, parameter in (signature.parameters if signature else {}).items():
        annotation = parameter.annotation or ""
        values = annotation.replace("dict[str, float]", "float")
        is_float = "float" in values and not _OTHER_NUMBERS.search(values)
        if key in form and is_float:
            form[key] = _as_float(form[key])
    return form


def _as_float(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_float(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _as_float(one) for key, one in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return float(value) + 0.0  # minus zero is zero
    except OverflowError:
        return value


def _target(node: Mapping[str, Any]) -> str:
    return RENAMED_TARGETS.get(node["_target_"], node["_target_"])


def _targets(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return all targets below a node, by dotted key."""
    if not isinstance(node, Mapping):
        return {}
    found = {prefix: node["_target_"]} if "_target_" in node else {}
    for key, value in node.items():
        found |= _targets(value, f"{prefix}.{key}")
    return found
