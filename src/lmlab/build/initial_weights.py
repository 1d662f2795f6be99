"""Give initial weights the standard deviations of a parametrization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from lmlab.errors import ConfigError
from lmlab.nn.init import DrawnWeight, drawn_weights
from lmlab.optim.parametrization import InitRule


@torch.no_grad()
def scale_initial_weights(model: nn.Module, initializer: object, rules: Sequence[InitRule]) -> None:
    """Multiply weights that ``initializer`` has drawn for this shape; in place.

    The random numbers stay those that the initializer drew.

    Args:
        model: with its initial weights.
        initializer: drew them; its method ``std`` returns the standard deviation of a
            :class:`lmlab.nn.init.DrawnWeight`.
        rules: the first that matches a parameter applies; without rules nothing changes.

    Raises:
        ConfigError: the initializer has no method ``std``.
    """
    if not rules:
        return
    std = getattr(initializer, "std", None)
    if not callable(std):
        kind = type(initializer)
        raise ConfigError(
            f"model.init._target_={kind.__module__}.{kind.__qualname__}: expected a method "
            "std(weight), the standard deviation that model.param scales",
            "add the method, choose another model.init, or set model.param=standard",
        )
    for weight, drawn in drawn_weights(model):
        rule = next((one for one in rules if one.matches(drawn.name, weight.ndim)), None)
        factor = 1.0 if rule is None else _initial_factor(drawn, std, rule)
        if factor != 1:
            weight.mul_(factor)


def _initial_factor(
    drawn: DrawnWeight, std: Callable[[DrawnWeight], float], rule: InitRule
) -> float:
    base = replace(
        drawn,
        rows=drawn.rows / rule.row_ratio,
        columns=drawn.columns / rule.column_ratio,
        num_writers=drawn.num_writers / rule.layer_ratio,
    )
    here = float(std(drawn))
    return rule.factor if here == 0 else rule.factor * float(std(base)) / here
