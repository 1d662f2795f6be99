"""A form of any value that compares by content, to notice what changed or was not restored."""

from __future__ import annotations

import collections
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

_SEQUENCES = (list, tuple, set, frozenset, collections.deque)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def comparable(
    value: Any, is_known: Callable[[torch.Tensor], bool] = lambda tensor: False, depth: int = 4
) -> Any:
    """Return what can be compared of a value: numbers, strings, tensors, and objects of them.

    Args:
        value: of any type.
        is_known: whether a tensor is compared elsewhere; all of these count as equal.
        depth: levels of containers and objects that are compared.
    """
    if isinstance(value, torch.Tensor):
        if is_known(value):
            return "known"
        return str(value.dtype), tuple(value.shape), tensor_bytes(value).tobytes()
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, bool | int | float | str | bytes | complex) or value is None:
        return repr(value)
    if isinstance(value, _FUNCTIONS):
        return getattr(value, "__qualname__", None)
    if depth == 0 or isinstance(value, torch.nn.Module | torch.optim.Optimizer | type):
        return None
    if isinstance(value, dict):
        return [
            (comparable(key, is_known, depth - 1), comparable(item, is_known, depth - 1))
            for key, item in value.items()
        ]
    if isinstance(value, _SEQUENCES):
        return [comparable(item, is_known, depth - 1) for item in value]
    return type(value).__qualname__, comparable(_state_of(value), is_known, depth - 1)


def tensor_bytes(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return the elements of a tensor, of a sharded one those of this rank, as uint8 in a copy."""
    local = getattr(tensor, "to_local", lambda: tensor)()
    # A copy, because FSDP could not free the memory of a tensor that NumPy has seen.
    flat = local.detach().to_dense().to("cpu", copy=True).reshape(-1)
    return flat.view(torch.uint8).numpy()


def _state_of(value: Any) -> Any:
    """Return what an object remembers: the state of a generator, or what pickling would keep."""
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    try:
        return value.__getstate__()
    except Exception:  # an object that cannot be pickled
        return dict(getattr(value, "__dict__", {}))
