"""Parameter groups of the optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def rate_names(groups: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the learning rate of each group in rows of metrics.

    Args:
        groups: parameter groups, each with its peak rate as ``initial_lr``.
        settings: the node ``optim`` of the configuration as plain values.

    Returns:
        For each group ``lr`` if ``optim.lr`` sets its rate, otherwise the setting of this value
        that ends in ``lr``, and ``lr_`` with the name of the group where there is none. Where no
        group has the rate of ``optim.lr``, the first group's is ``lr``.
    """
    others = {key: value for key, value in settings.items() if key != "lr" and key.endswith("lr")}
    rates = [float(group["initial_lr"]) for group in groups]
    main = float(settings["lr"]) if settings.get("lr") is not None else rates[0]
    main = main if main in rates else rates[0]
    names = []
    for group, rate in zip(groups, rates, strict=True):
        setting = next((key for key, value in others.items() if value == rate), None)
        names.append("lr" if rate == main else setting or f"lr_{group.get('name', 'other')}")
    return tuple(names)
