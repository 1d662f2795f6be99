"""Call the class or function that a component of the configuration names."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from lmlab.config.run_config import Component


def instantiate(component: Component, **supplied: Any) -> Any:
    """Call the target with the component's parameters and those that the program supplies."""
    return target_partial(component)(**supplied)


def target_partial(component: Component) -> functools.partial[Any]:
    """Return the target with the component's parameters bound, not yet called."""
    module, _, name = component.target.rpartition(".")
    target = getattr(importlib.import_module(module), name)
    return functools.partial(target, **component.parameters)
