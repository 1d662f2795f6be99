"""Settings of trackers that the environment may give.

An explicit setting (``logger.project=mine``, or a file of the user) wins over the environment, and
the environment wins over the default in ``conf/logger/``. The environment is that of the process
that composes the configuration: jobs of a sweep, on this machine or on a cluster, use the values
that were frozen when the sweep was submitted.

``${tracker_variable:NAME,default}`` in ``conf/logger/`` is the one place where this is decided.
"""

from __future__ import annotations

import os
from typing import Any

_TRUE = ("1", "true", "yes", "on")


def tracker_variable(name: str, default: Any = None) -> Any:
    """Return the value of an environment variable, or ``default`` where it is unset or empty.

    ``WANDB_TAGS`` is a list, written with commas. ``WANDB_DISABLED`` makes ``WANDB_MODE``
    ``disabled``, whatever its value.
    """
    if name == "WANDB_MODE" and os.environ.get("WANDB_DISABLED", "").lower() in _TRUE:
        return "disabled"
    text = os.environ.get(name, "").strip()
    if name == "WANDB_TAGS":
        return [tag.strip() for tag in text.split(",") if tag.strip()]
    return text or default
