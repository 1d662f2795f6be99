"""vmap for custom operations: the models' batches are concatenated into one."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def register_vmap_rule(operation: Any) -> None:
    """Register how vmap maps an operation over several models.

    Args:
        operation: a torch custom operation. The first axis of its tensors and results is the batch,
            except for tables (T, K), which all models share.
    """

    def vmap_rule(info: Any, in_dims: tuple[int | None, ...], *parts: Any) -> Any:
        size = info.batch_size

        def merge_batches(part: Any, dim: int | None) -> Any:
            if not isinstance(part, Tensor) or (dim is None and part.dim() == 2):
                return part
            stacked = part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)
            return stacked.flatten(0, 1)

        results = operation(*map(merge_batches, parts, in_dims))
        if isinstance(results, Tensor):
            return results.unflatten(0, (size, -1)), 0
        return tuple(part.unflatten(0, (size, -1)) for part in results), (0,) * len(results)

    operation.register_vmap(vmap_rule)
