"""Call what a leaf of the configuration names by ``_target_``."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from lmlab.config.run_config import Component


def instantiate(component: Component, **supplied: Any) -> Any:
    """Call the component's target with its parameters and with what the program supplies."""
    return target_partial(component)(**supplied)


def target_partial(component: Component) -> functools.partial[Any]:
    """The component's target with its parameters bound, still to be called."""
    module, _, name = component.target.rpartition(".")
    target = getattr(importlib.import_module(module), name)
    return functools.partial(target, **component.parameters)
