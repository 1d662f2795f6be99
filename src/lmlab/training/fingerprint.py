"""Checksums of everything that the rest of a run depends on, to notice a change."""

from __future__ import annotations

import collections
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from lmlab.distributed.comparable import tensor_bytes
from lmlab.distributed.exact_load import full_state
from lmlab.distributed.sharded_optimizer import ShardedOptimizer
from lmlab.training.state import TrainState

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def fingerprint(state: TrainState) -> dict[str, int]:
    """Return the CRC-32 of each part of a training state, of this rank.

    The parts are named as messages name them. Generators and training modes are not included.
    """
    model = state.model
    parameters = dict(model.named_parameters(remove_duplicate=False))
    optimizer = state.optimizer
    if isinstance(optimizer, ShardedOptimizer):
        optimizer = optimizer.optimizer  # of this rank's shard
    return {
        "the weights": _checksum({n: p.detach() for n, p in parameters.items()}),
        "the gradients": _checksum({n: p.grad for n, p in parameters.items()}),
        "the buffers": _checksum(dict(model.named_buffers(remove_duplicate=False))),
        "the modules, their hooks or requires_grad": _checksum(_structure(model)),
        "the optimizer": _checksum(full_state(optimizer)),
        "the settings of torch": _checksum(_torch_settings()),
    }


def _structure(model: nn.Module) -> list[Any]:
    modules = [
        [name, type(module).__qualname__, id(module), [len(getattr(module, h)) for h in _HOOKS]]
        for name, module in model.named_modules()
    ]
    return [*modules, *([name, p.requires_grad] for name, p in model.named_parameters())]


def _torch_settings() -> list[Any]:
    return [
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    ]


def _checksum(value: Any, start: int = 0) -> int:
    if isinstance(value, torch.Tensor | np.ndarray):  # their repr omits the middle of long ones
        start = zlib.crc32(f"{value.dtype}{tuple(value.shape)}".encode(), start)
        content: Any = tensor_bytes(value) if isinstance(value, torch.Tensor) else value.tobytes()
        return zlib.crc32(content, start)
    if isinstance(value, Mapping):
        for key, item in value.items():
            start = _checksum(item, zlib.crc32(repr(key).encode(), start))
        return start
    if isinstance(value, list | tuple | collections.deque):
        for item in value:
            start = _checksum(item, start)
        return zlib.crc32(f"{len(value)}".encode(), start)
    return zlib.crc32(repr(value).encode(), start)
