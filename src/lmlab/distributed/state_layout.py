"""An optimizer's saved state without its tensors: what room each of them needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """Where a tensor stands in an optimizer's state, and what room it needs."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device_type: str


def layout_without_tensors(saved: dict[str, Any]) -> dict[str, Any]:
    """What ``state_dict`` gave, with a :class:`TensorSpec` for each tensor: small enough to be sent."""

    def place(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return TensorSpec(tuple(value.shape), value.dtype, value.device.type)

    return _with_values(saved, place)


def allocate(layout: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A state with room for every tensor of a layout, on ``device`` or, where it was, the host."""

    def room(value: Any) -> Any:
        if not isinstance(value, TensorSpec):
            return value
        here = torch.device("cpu") if value.device_type == "cpu" else device
        return torch.empty(value.shape, dtype=value.dtype, device=here)

    return _with_values(layout, room)


def state_tensors(saved: dict[str, Any]) -> Iterator[torch.Tensor]:
    """The tensors of a state in its own order, which its layout shares."""
    for values in saved["state"].values():
        for value in values.values():
            if isinstance(value, torch.Tensor):
                yield value


def _with_values(saved: dict[str, Any], change: Any) -> dict[str, Any]:
    state = {
        index: {key: change(value) for key, value in values.items()}
        for index, values in saved["state"].items()
    }
    return saved | {"state": state}
