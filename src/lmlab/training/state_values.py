"""Values of an optimizer's state as JSON and named tensors, without pickled code.

JSON keeps numbers, strings, lists and dictionaries as they are. Every other value becomes a
dictionary that names its kind, from which reading restores the value and its type.
"""

from __future__ import annotations

import collections
import enum
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lmlab.distributed.exact_load import is_plain_array
from lmlab.distributed.full_tensor import full_tensor
from lmlab.errors import ConfigError

_KIND = "_kind_"
_PLAIN = (type(None), bool, int, float, str)
# Values that hold no state: a new optimizer of the same settings has the same ones.
_CONSTANTS = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, type, enum.Enum, torch.layout,
    torch.memory_format,
)  # fmt: skip
_SEQUENCES: dict[str, type] = {
    "tuple": tuple, "set": set, "frozenset": frozenset, "deque": collections.deque,
    "size": torch.Size,
}  # fmt: skip
_MAPPINGS: dict[str, type] = {"dict": dict, "ordered": collections.OrderedDict}
ABSENT = object()


class UnsavableError(ConfigError):
    """A value has a type that checkpoints cannot hold.

    Args:
        path: where the value is in the optimizer's state dict.
        kind: name of its type.
    """

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(
            f"optim: the optimizer keeps a {kind} in its {path}, which a checkpoint cannot hold, "
            "so the run could not resume",
            "choose another optimizer, or keep its state in numbers, strings, tensors, lists and "
            "dictionaries",
        )


def copy_to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Return a contiguous copy in host memory."""
    return full_tensor(tensor.detach()).to("cpu", copy=True).contiguous()


def encode(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Return ``value`` as JSON values; its tensors are copied into ``tensors``.

    Args:
        value: numbers, strings, tensors, arrays, and containers of them.
        path: where the value is, for messages and for the names of its tensors.
        tensors: receives a copy of each tensor.

    Raises:
        UnsavableError: a value has another type.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [encode(item, f"{path}[{i}]", tensors) for i, item in enumerate(value)]
    if kind is dict and all(type(key) is str for key in value) and _KIND not in value:
        return {key: encode(item, f"{path}[{key!r}]", tensors) for key, item in value.items()}
    for name, mapping in _MAPPINGS.items():
        if kind is mapping:
            pairs = [
                [
                    encode(key, f"{path} key {key!r}", tensors),
                    encode(item, f"{path}[{key!r}]", tensors),
                ]
                for key, item in value.items()
            ]
            return {_KIND: name, "items": pairs}
    for name, sequence in _SEQUENCES.items():
        if kind is sequence:
            items = [encode(item, f"{path}[{i}]", tensors) for i, item in enumerate(value)]
            limit = {"maxlen": value.maxlen} if name == "deque" else {}
            return {_KIND: name, "items": items} | limit
    return _encode_other(value, path, tensors)


def _encode_other(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor) and _is_plain_tensor(value):
        name = f"value.{path}"
        tensors[name] = copy_to_host(value)
        order = {} if value.is_contiguous() else {"stride": list(value.stride())}
        return {_KIND: "tensor", "name": name, "device": value.device.type} | order
    if isinstance(value, np.ndarray | np.generic) and is_plain_array(value):
        name = f"value.{path}"
        tensors[name] = torch.from_numpy(np.array(value))
        return {_KIND: "array" if isinstance(value, np.ndarray) else "scalar", "name": name}
    if isinstance(value, complex):
        return {_KIND: "complex", "items": [value.real, value.imag]}
    if isinstance(value, torch.dtype):
        return {_KIND: "dtype", "name": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {_KIND: "device", "name": str(value)}
    if isinstance(value, _CONSTANTS):
        return {_KIND: "constant", "path": path, "type": type(value).__qualname__}
    raise UnsavableError(path, type(value).__qualname__)


def _is_plain_tensor(value: torch.Tensor) -> bool:
    is_known = type(value) in (torch.Tensor, torch.nn.Parameter) or hasattr(value, "full_tensor")
    return is_known and value.layout is torch.strided and not value.is_quantized


def decode(
    value: Any, tensors: Mapping[str, torch.Tensor], device: torch.device, current: Any = ABSENT
) -> Any:
    """Return the value that :func:`encode` wrote.

    Args:
        value: as JSON values.
        tensors: the tensors by name.
        device: where tensors go that were not in host memory.
        current: the same value of a newly built object, from which constants are taken.

    Raises:
        UnsavableError: a constant is not part of the newly built object.
    """
    if isinstance(value, list):
        return [decode(v, tensors, device, _part(current, i)) for i, v in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    if kind is None:
        return {k: decode(v, tensors, device, _part(current, k)) for k, v in value.items()}
    if kind in _MAPPINGS:
        pairs = [(decode(k, tensors, device), v) for k, v in value["items"]]
        return _MAPPINGS[kind]((k, decode(v, tensors, device, _part(current, k))) for k, v in pairs)
    if kind in _SEQUENCES:
        items = [
            decode(v, tensors, device, _part(current, i)) for i, v in enumerate(value["items"])
        ]
        if kind == "deque":
            return collections.deque(items, maxlen=value["maxlen"])
        return _SEQUENCES[kind](items)
    return _decode_other(kind, value, tensors, device, current)


def _decode_other(
    kind: str,
    value: dict[str, Any],
    tensors: Mapping[str, torch.Tensor],
    device: torch.device,
    current: Any,
) -> Any:
    if kind == "tensor":
        tensor = tensors[value["name"]]
        if "stride" in value:  # the order in memory changes the last bits of products
            ordered = torch.empty_strided(tensor.shape, value["stride"], dtype=tensor.dtype)
            tensor = ordered.copy_(tensor)
        return tensor if value["device"] == "cpu" else tensor.to(device)
    if kind in ("array", "scalar"):
        array = tensors[value["name"]].numpy()
        return array if kind == "array" else array[()]
    if kind == "complex":
        return complex(*value["items"])
    if kind == "dtype":
        return getattr(torch, value["name"])
    if kind == "device":
        return torch.device(value["name"])
    assert kind == "constant", kind
    if current is ABSENT:
        raise UnsavableError(value.get("path", "state"), value.get("type", "constant"))
    return current


def _part(current: Any, key: Any) -> Any:
    try:
        return ABSENT if current is ABSENT else current[key]
    except (KeyError, IndexError, TypeError):
        return ABSENT
