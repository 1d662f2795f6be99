"""An optimizer's state as named tensors and JSON values, and back."""

from __future__ import annotations

from typing import Any

import torch

from lmlab.distributed.exact_load import full_state, load_exactly
from lmlab.distributed.sharded_optimizer import ShardedOptimizer
from lmlab.training.state_values import ABSENT, copy_to_host, decode, encode


def flatten_optimizer(
    optimizer: torch.optim.Optimizer | ShardedOptimizer,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split an optimizer's state into named copies of tensors and JSON values.

    Raises:
        UnsavableError: the state holds a value of a type that checkpoints cannot hold.
    """
    if isinstance(optimizer, ShardedOptimizer):
        saved = optimizer.state_dict()
    else:
        saved = full_state(optimizer)
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    further = {k: v for k, v in saved.items() if k not in ("state", "param_groups")}
    odd: dict[Any, Any] = {}  # state that belongs to no single parameter
    for index, values in saved["state"].items():
        if type(index) is not int or not _has_text_keys(values):
            odd[index] = values
            continue
        numbers[str(index)] = {}
        for key, value in values.items():
            if _is_simple(value):
                tensors[f"optimizer.{index}.{key}"] = copy_to_host(value)
            else:
                path = f"state[{index}][{key!r}]"
                numbers[str(index)][key] = encode(value, path, tensors)
    record = {
        "numbers": numbers,
        "groups": [
            {
                key: _encode_setting(f"param_groups[{number}][{key!r}]", value, tensors)
                for key, value in group.items()
            }
            for number, group in enumerate(saved["param_groups"])
        ],
    }
    if odd or further:
        record["further"] = encode(further, "state_dict()", tensors)
        record["odd_state"] = encode({"state": odd}, "state_dict()", tensors)
    return tensors, record


def _is_simple(value: Any) -> bool:
    """Whether a value is a tensor that is restored from its elements alone."""
    if hasattr(value, "full_tensor"):
        return True
    return type(value) is torch.Tensor and value.is_contiguous() and value.layout is torch.strided


def _has_text_keys(values: Any) -> bool:
    return type(values) is dict and all(type(key) is str for key in values)


def _encode_setting(path: str, value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Encode a value of a parameter group; a tuple of numbers is written as a list."""
    if type(value) is tuple and all(type(item) in (bool, int, float) for item in value):
        return list(value)
    return encode(value, path, tensors)


def restore_optimizer(
    optimizer: torch.optim.Optimizer | ShardedOptimizer,
    tensors: dict[str, torch.Tensor],
    plain: dict[str, Any],
) -> None:
    """Load into ``optimizer`` what :func:`flatten_optimizer` returned, now or in earlier builds."""
    current = optimizer.param_groups
    device = next(one.device for group in current for one in group["params"])
    inner = optimizer.optimizer if isinstance(optimizer, ShardedOptimizer) else optimizer
    new = full_state(inner)
    state: dict[Any, dict[str, Any]] = {
        int(index): decode(values, tensors, device, new["state"].get(int(index), ABSENT))
        for index, values in plain["numbers"].items()
    }
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state[int(index)][key] = tensor
    groups = [
        _with_tuples(decode(saved, tensors, device, now), now)
        for saved, now in zip(plain["groups"], current, strict=True)
    ]
    further = decode(plain.get("further", {}), tensors, device, new)
    state |= decode(plain.get("odd_state", {"state": {}}), tensors, device, new)["state"]
    loaded = further | {"state": state, "param_groups": groups}
    if isinstance(optimizer, ShardedOptimizer):
        optimizer.load_state_dict(loaded)
    else:
        load_exactly(optimizer, loaded)


def _with_tuples(saved: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Turn the lists of a parameter group read from JSON back into tuples."""
    return {
        key: tuple(value) if isinstance(now.get(key), tuple) else value
        for key, value in saved.items()
    }
