"""Call what a leaf of the configuration names by ``_target_``."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from lmlab.config.compose import Config, plain


def instantiate(node: Config, **supplied: Any) -> Any:
    """Call the leaf's ``_target_`` with its knobs and with what the assembly supplies."""
    return target_partial(node)(**supplied)


def target_partial(node: Config) -> functools.partial[Any]:
    """The leaf's ``_target_`` with its knobs bound, still to be called."""
    knobs = plain(node)
    module, _, name = knobs.pop("_target_").rpartition(".")
    return functools.partial(getattr(importlib.import_module(module), name), **knobs)
