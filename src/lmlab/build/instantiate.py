"""Call the class or function that a component of the configuration names by ``_target_``."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from lmlab.build.equal_settings import with_floats
from lmlab.config.run_config import Component


@dataclasses.dataclass(frozen=True)
class BoundTarget:
    """A class or function with parameters bound; it is imported at the first call.

    Attributes:
        target: dotted path of the class or function.
        parameters: values from the configuration, by name.
    """

    target: str
    parameters: Mapping[str, Any]

    def load(self, **offered: Any) -> functools.partial[Any]:
        """Import the target and bind copies of the parameters.

        Args:
            offered: values that the target gets where its signature names them.
        """
        module, _, name = self.target.rpartition(".")
        function = getattr(importlib.import_module(module), name)
        if offered:
            named = inspect.signature(function).parameters
            offered = {key: value for key, value in offered.items() if key in named}
        return functools.partial(function, **copy.deepcopy(dict(self.parameters)), **offered)

    def __call__(self, **supplied: Any) -> Any:
        """Call the target with its parameters and with the values that the program supplies."""
        return self.load()(**supplied)


def bind(component: Component) -> BoundTarget:
    """Bind the parameters of ``component`` to its target, without importing the target."""
    parameters = with_floats(component.as_dict())
    del parameters["_target_"]
    return BoundTarget(component.target, parameters)


def instantiate(component: Component, **supplied: Any) -> Any:
    """Call the component's target with its parameters and with the values that you supply."""
    return bind(component)(**supplied)


def describe_failure(key: str, target: str, what: str, error: Exception) -> str:
    """Describe in one line that the component at ``key`` cannot do ``what`` here."""
    reason = " ".join(str(error).split()) or "no reason given"
    shown = reason if len(reason) <= 300 else f"{reason[:300]} ..."
    return f"{key}._target_={target}: cannot {what}: {type(error).__name__}: {shown}"
