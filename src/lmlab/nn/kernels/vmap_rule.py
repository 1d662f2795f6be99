"""Operations of our own on several models at once: their batches lie one behind the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def register_vmap_rule(operation: Any) -> None:
    """Tell vmap how an operation computes for several models.

    Args:
        operation: a custom one of torch's. The first axis of its tensors and results is the batch,
            but for tables, (T, K), which all models share.
    """

    def fold(info: Any, in_dims: tuple[int | None, ...], *parts: Any) -> Any:
        size = info.batch_size

        def lay(part: Any, dim: int | None) -> Any:
            if not isinstance(part, Tensor) or (dim is None and part.dim() == 2):
                return part
            moved = part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)
            return moved.flatten(0, 1)

        found = operation(*map(lay, parts, in_dims))
        if isinstance(found, Tensor):
            return found.unflatten(0, (size, -1)), 0
        return tuple(part.unflatten(0, (size, -1)) for part in found), (0,) * len(found)

    operation.register_vmap(fold)
