"""An optimizer's state dict with shapes in place of tensors, small enough to send to all ranks."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """Shape, dtype and kind of device of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device_type: str


def layout_without_tensors(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict with a :class:`TensorSpec` in place of each tensor."""

    def spec(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return TensorSpec(tuple(value.shape), value.dtype, value.device.type)

    return _map_values(state_dict, spec)


def allocate(layout: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return a state dict with an uninitialized tensor for each spec of a layout.

    Args:
        layout: made by :func:`layout_without_tensors`.
        device: device of tensors that were not on the CPU.
    """

    def empty(value: Any) -> Any:
        if not isinstance(value, TensorSpec):
            return value
        target = torch.device("cpu") if value.device_type == "cpu" else device
        return torch.empty(value.shape, dtype=value.dtype, device=target)

    return _map_values(layout, empty)


def state_tensors(state_dict: dict[str, Any]) -> Iterator[torch.Tensor]:
    """Yield the tensors of a state dict in its own order, which its layout shares."""
    return tensors_in(state_dict["state"])


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested dictionaries, lists, tuples and deques, in their order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple | collections.deque):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(item)


def _map_values(state_dict: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    def walk(value: Any) -> Any:
        kind = type(value)
        if kind in (list, tuple):
            return kind(map(walk, value))
        if kind is collections.deque:
            return collections.deque(map(walk, value), value.maxlen)
        if kind in (dict, collections.OrderedDict):
            return kind((key, walk(item)) for key, item in value.items())
        return change(value)

    return state_dict | {"state": walk(state_dict["state"])}
