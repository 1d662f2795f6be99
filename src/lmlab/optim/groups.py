"""Parameter groups of the optimizer."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Split the parameters of a model into groups for a torch optimizer.

    - ``hidden``: matrices inside the blocks.
    - ``embedding``: the embedding, the head and learned positions.
    - ``vectors``: norm gains. Their ``weight_decay`` is 0, because a smaller gain does not make a
      smaller map. Loshchilov and Hutter 2019 decay all parameters; GPT-2 and Llama decay matrices
      only.

    Returns:
        Non-empty groups with the keys ``params``, ``names`` and ``name``.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            kind = "vectors"
        else:
            kind = "hidden" if name.startswith("blocks.") else "embedding"
        group = groups.setdefault(kind, {"params": [], "names": [], "name": kind})
        group["params"].append(parameter)
        group["names"].append(name)
    if "vectors" in groups:
        groups["vectors"]["weight_decay"] = 0.0
    return list(groups.values())
