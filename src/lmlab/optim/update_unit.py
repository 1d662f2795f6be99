"""What an optimizer's update depends on, which decides how ranks and stacks may divide its work.

Where ranks share an optimizer, each sees only a part of the model: under ``runtime.parallel=fsdp``
a slice of every tensor, under ``zero1`` some of the tensors. An optimizer that needs more computes
other updates there without an error, so it has to declare what it needs: an optimizer class by the
attribute ``update_unit``, a function that builds one by :func:`updates_by` or the same attribute.
The values are :data:`ELEMENT`, :data:`TENSOR` and :data:`MODEL`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from lmlab.errors import ConfigError

# An element changes by its own gradient and state alone, whatever tensor it is in: Adam, Lion.
ELEMENT = "element"
# A tensor changes by its own gradient and state, as a whole: Muon, SOAP, Adafactor.
TENSOR = "tensor"
# A tensor's update depends on other tensors, such as a norm over all of them.
MODEL = "model"
UNITS = (ELEMENT, TENSOR, MODEL)

_ATTRIBUTE = "update_unit"
# Classes of torch, which declare nothing.
_OF_TORCH = {
    "ASGD": ELEMENT, "Adadelta": ELEMENT, "Adafactor": TENSOR, "Adagrad": ELEMENT, "Adam": ELEMENT,
    "AdamW": ELEMENT, "Adamax": ELEMENT, "Muon": TENSOR, "NAdam": ELEMENT, "RAdam": ELEMENT,
    "RMSprop": ELEMENT, "Rprop": ELEMENT, "SGD": ELEMENT,
}  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def updates_by(unit: str) -> Callable[[F], F]:
    """Declare what the optimizer depends on that the decorated function builds."""
    assert unit in UNITS

    def declare(function: F) -> F:
        setattr(function, _ATTRIBUTE, unit)
        return function

    return declare


def update_unit(target: Any, name: str) -> str | None:
    """Return what the update of an optimizer depends on; None where nothing says it.

    A subclass that changes ``step`` does not inherit the declaration, which is about the step.

    Args:
        target: the class, or the function that builds the optimizer.
        name: its dotted path, for messages.

    Raises:
        ConfigError: the declaration is none of :data:`UNITS`.
    """
    declared = _declared(target)
    if declared not in (None, *UNITS):
        raise ConfigError(
            f"optim._target_={name}: expected {_ATTRIBUTE} to be one of {', '.join(UNITS)}, found "
            f"{declared!r}",
            "see docs/extending.md",
        )
    return declared


def _declared(target: Any) -> Any:
    if not inspect.isclass(target):
        return getattr(target, _ATTRIBUTE, None)
    for owner in target.__mro__:
        known = vars(owner).get(_ATTRIBUTE, _of_torch(owner))
        if known is not None:
            return known if _same_step(target, owner) else None
    return None


def _of_torch(owner: type) -> str | None:
    is_torch = f"{owner.__module__}.".startswith("torch.optim.")
    return _OF_TORCH.get(owner.__qualname__) if is_torch else None


def _same_step(target: Any, owner: Any) -> bool:
    """Whether two classes have one step: torch wraps it at a class's first instance."""
    return inspect.unwrap(target.step) is inspect.unwrap(owner.step)
