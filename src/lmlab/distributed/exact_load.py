"""The full state of an optimizer, and how to load it without the conversions of torch."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import torch

from lmlab.distributed.comparable import comparable
from lmlab.distributed.state_layout import tensors_in

_ATTRIBUTES = "attributes outside the state dict"
_PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device)
_SEQUENCES = (list, tuple, set, frozenset, collections.deque, torch.Size)
# What every optimizer of torch has. The hooks are code, and the rest follows from the settings.
_STANDARD = frozenset(vars(torch.optim.SGD([torch.zeros(1)]))) | {"_optimizer_step_pre_hooks"}


def full_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state dict, with the numbers, tensors and arrays that are kept outside it.

    Some optimizers count their steps in an attribute, which their state dict omits.
    """
    state_dict = optimizer.state_dict()
    known = _known_memory(optimizer)
    attributes = {
        name: value for name, value in _own_attributes(optimizer) if _is_data(value, known)
    }
    return state_dict | ({_ATTRIBUTES: attributes} if attributes else {})


def unsaved_attributes(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return what can be compared of the attributes that :func:`full_state` omits, by name.

    Parameters and tensors of the state count as equal: they are saved elsewhere.
    """
    known = _known_memory(optimizer)
    return {
        name: comparable(value, lambda tensor: _memory(tensor) in known)
        for name, value in _own_attributes(optimizer)
        if not _is_data(value, known)
    }


def _own_attributes(optimizer: torch.optim.Optimizer) -> list[tuple[str, Any]]:
    return [pair for pair in vars(optimizer).items() if pair[0] not in _STANDARD]


def _known_memory(optimizer: torch.optim.Optimizer) -> set[int]:
    known = {_memory(one) for group in optimizer.param_groups for one in group["params"]}
    return known | {_memory(tensor) for tensor in tensors_in(optimizer.state)}


def load_exactly(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load what :func:`full_state` returned so that every value keeps its type.

    :meth:`torch.optim.Optimizer.load_state_dict` converts every tensor of a parameter's state to
    the dtype of the parameter, so that counters in int64 lose digits, and replaces strings by the
    text of a generator. Only the device that it chooses is kept.
    """
    attributes = state.get(_ATTRIBUTES, {})
    state_dict = {key: value for key, value in state.items() if key != _ATTRIBUTES}
    optimizer.load_state_dict(state_dict)
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    indices = [index for group in state_dict["param_groups"] for index in group["params"]]
    for index, parameter in zip(indices, parameters, strict=True):
        saved = state_dict["state"].get(index)
        if saved is not None and parameter in optimizer.state:
            optimizer.state[parameter] = _as_saved(optimizer.state[parameter], saved)
    for name, value in attributes.items():
        setattr(optimizer, name, value)


def _as_saved(loaded: Any, saved: Any) -> Any:
    if isinstance(loaded, torch.Tensor) and isinstance(saved, torch.Tensor):
        if loaded.dtype == saved.dtype or loaded.shape != saved.shape:
            return loaded
        return saved.to(loaded.device)
    if isinstance(loaded, dict) and isinstance(saved, dict):
        if loaded.keys() == saved.keys():
            loaded.update({key: _as_saved(loaded[key], saved[key]) for key in saved})
        return loaded
    if type(saved) in (list, tuple) and type(loaded) is type(saved) and len(loaded) == len(saved):
        return type(saved)(_as_saved(*pair) for pair in zip(loaded, saved, strict=True))
    return loaded if isinstance(loaded, torch.Tensor) else saved


def _is_data(value: Any, known: set[int]) -> bool:
    """Whether a value consists of numbers, strings, arrays, and tensors that are not known."""
    if isinstance(value, torch.Tensor):
        return type(value) is torch.Tensor and _memory(value) not in known
    if isinstance(value, np.ndarray | np.generic):
        return type(value) is not np.memmap and is_plain_array(value)
    if type(value) in _SEQUENCES:
        return all(_is_data(item, known) for item in value)
    if type(value) in (dict, collections.OrderedDict):
        return all(_is_data(item, known) for pair in value.items() for item in pair)
    return type(value) in _PLAIN


def is_plain_array(value: np.ndarray[Any, Any] | np.generic) -> bool:
    """Whether torch can hold an array or a number of NumPy without a change."""
    dtype = value.dtype
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.isnative


def _memory(tensor: torch.Tensor) -> int:
    return id(tensor) if hasattr(tensor, "full_tensor") else tensor.data_ptr() or id(tensor)
