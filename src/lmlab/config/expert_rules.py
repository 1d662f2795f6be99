"""Ranges of the settings of a mixture of experts, :class:`lmlab.nn.moe.MoE`. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_SCORES = ("softmax", "sigmoid")


def expert_rules(path: str, model: Mapping[str, Any]) -> Iterator[tuple[str, bool, str]]:
    """Yield each key, whether its value is valid, and which values are.

    Args:
        path: dotted key of the layer.
        model: the ``model`` node.
    """
    ffn = model["ffn"]
    number = ffn["num_experts"]
    yield f"{path}.num_experts", number >= 1, "1 or more"
    yield (
        f"{path}.top_k",
        1 <= ffn["top_k"] <= number,
        f"1 or more, and at most {path}.num_experts={number}",
    )
    yield f"{path}.num_shared_experts", ffn["num_shared_experts"] >= 0, "0 or more"
    yield f"{path}.scores", ffn["scores"] in _SCORES, f"one of {', '.join(_SCORES)}"
    for key in ("balance_coefficient", "z_loss_coefficient"):
        yield f"{path}.{key}", 0 <= ffn[key] < math.inf, "a finite number of 0 or more"
    for key, meaning in (("bias_update_rate", "no biases"), ("capacity_factor", "no limit")):
        value = ffn[key]
        is_valid = value is None or 0 < value < math.inf
        yield f"{path}.{key}", is_valid, f"a finite number above 0, or null for {meaning}"
