"""The feed-forward width that ``model.d_ff=auto`` gives a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.config.signatures import read_signature

UNGATED_FACTOR = 4  # as in Vaswani et al. 2017, section 3.3


def feed_forward_width(model: Mapping[str, Any]) -> int | None:
    """Return F of a ``model`` node; None if the layer chooses it, see :func:`auto_width`."""
    if model["d_ff"] == "auto":
        return auto_width(str(model["ffn"]["_target_"]), int(model["d_model"]))
    return int(model["d_ff"])


def auto_width(target: str, d_model: int) -> int | None:
    """Return the width for a feed-forward layer; None for a layer that chooses its own.

    A layer chooses its own width if the annotation of its parameter ``d_ff`` includes None, as
    those of :mod:`lmlab.nn.ffn` do. Any other layer gets the width of an ungated one.

    Args:
        target: dotted path of the layer's class.
        d_model: model width.
    """
    try:
        signature = read_signature(target)
    except LookupError:
        signature = None
    parameter = signature.parameters.get("d_ff") if signature else None
    annotation = (parameter.annotation if parameter else None) or ""
    if "None" in annotation or "Optional" in annotation:
        return None
    return UNGATED_FACTOR * d_model
