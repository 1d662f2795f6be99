"""The counts that belong to the class or function named by a leaf's ``_target_``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from lmlab.errors import ConfigError
from lmlab.optim.counts import OptimizerCounts

# States a parameter of torch's own optimizers, whose files have no counts beside them.
_TORCH_STATES = {
    "Adadelta": 2, "Adagrad": 1, "Adam": 2, "AdamW": 2, "Adamax": 2, "ASGD": 2, "NAdam": 2,
    "RAdam": 2, "RMSprop": 1, "Rprop": 2,
}  # fmt: skip


class UnknownCostError(ConfigError):
    """A variant has no counts: one of a package of the user's, usually."""


def counts_of(path: str, leaf: Mapping[str, Any]) -> Callable[..., Any]:
    """The counts of a leaf with its knobs bound, still to be given the sizes.

    Args:
        path: of the leaf, for messages.
        leaf: ``_target_`` and knobs.

    Raises:
        UnknownCostError: there is no file of counts beside the target, or it has no such name.
    """
    target = str(leaf["_target_"])
    module, _, name = target.rpartition(".")
    knobs = {key: value for key, value in leaf.items() if key != "_target_"}
    if module.startswith("torch.optim"):
        return _torch_optimizer(name, knobs)
    beside = f"{module}_counts"
    try:
        found = getattr(importlib.import_module(beside), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UnknownCostError(
            f"{path}._target_={target}: its costs are not known; write {name} in {beside} "
            "(see lmlab.nn.counts), or choose a variant of lmlab"
        ) from error

    def bound(**sizes: Any) -> Any:
        return found(**knobs, **sizes)

    return bound


def _torch_optimizer(name: str, knobs: Mapping[str, Any]) -> Callable[..., OptimizerCounts]:
    if name == "SGD":
        states = 1 if knobs.get("momentum") else 0
    elif name in _TORCH_STATES:
        states = _TORCH_STATES[name] + bool(knobs.get("amsgrad"))
    else:
        raise UnknownCostError(f"optim._target_=torch.optim.{name}: its states are not known")

    def count(*, hidden: int, other: int) -> OptimizerCounts:
        return OptimizerCounts(states * (hidden + other), flops=None)

    return count
