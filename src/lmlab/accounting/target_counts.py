"""Finds the counts of the class or function that ``_target_`` names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from lmlab.errors import ConfigError
from lmlab.optim.optimizer_counts import OptimizerCounts

# Optimizer state values per parameter of torch's optimizers, which have no counts modules. Some of
# their settings add one each.
_ADDED_STATES = ("amsgrad", "momentum", "centered")
_TORCH_STATES = {
    "Adadelta": 2, "Adagrad": 1, "Adam": 2, "AdamW": 2, "Adamax": 2, "ASGD": 1, "NAdam": 2,
    "RAdam": 2, "RMSprop": 1, "Rprop": 2, "SGD": 0,
}  # fmt: skip


class UnknownCostError(ConfigError):
    """A component has no counts; usually it belongs to a user's package."""


def counts_of(path: str, leaf: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the counts of a component as a function of its sizes.

    Args:
        path: key of the component in the configuration, for messages.
        leaf: ``_target_`` and parameters of the component.

    Returns:
        A function of the sizes; of those in its argument ``offered``, counts take what they name.

    Raises:
        UnknownCostError: there is no counts module, or it does not define the target's name.
    """
    target = str(leaf["_target_"])
    module, _, name = target.rpartition(".")
    parameters = {key: value for key, value in leaf.items() if key != "_target_"}
    if module.startswith("torch.optim"):
        return _torch_optimizer(name, parameters)
    counts_module = f"{module}_counts"
    try:
        count = getattr(importlib.import_module(counts_module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UnknownCostError(
            f"{path}._target_={target}: its parameter, FLOP and memory counts are unknown",
            f"define {name} in the module {counts_module} (see lmlab.nn.component_counts), or "
            "choose a component of lmlab",
        ) from error

    named = inspect.signature(count).parameters

    def bound(offered: Mapping[str, Any] | None = None, **sizes: Any) -> Any:
        wanted = {key: value for key, value in (offered or {}).items() if key in named}
        if "shapes" in wanted and wanted["shapes"] is None:
            raise _without_shapes(target)
        return count(**parameters, **sizes, **wanted)

    return bound


def _without_shapes(target: str) -> UnknownCostError:
    return UnknownCostError(
        f"optim._target_={target}: its state depends on the shapes of the weights, which a "
        "component of the model does not give",
        "give shapes in the counts of the component (see lmlab.nn.component_counts)",
    )


def _torch_optimizer(name: str, parameters: dict[str, Any]) -> Callable[..., OptimizerCounts]:
    if name == "Adafactor":
        return counts_of("optim", {"_target_": "lmlab.optim.adafactor.adafactor"} | parameters)
    if name in _TORCH_STATES:
        states = _TORCH_STATES[name] + sum(bool(parameters.get(key)) for key in _ADDED_STATES)
    else:
        raise UnknownCostError(
            f"optim._target_=torch.optim.{name}: the size of its state is unknown",
            "choose another optimizer",
        )

    def count(
        offered: Mapping[str, Any] | None = None, *, hidden: int, other: int
    ) -> OptimizerCounts:
        return OptimizerCounts(states * (hidden + other), flops=None)

    return count
