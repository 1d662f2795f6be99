"""Flat buckets of tensors: one collective for many small tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

BUCKET_BYTES = 1 << 25


def make_buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Yield runs of tensors of one dtype and device, of up to :data:`BUCKET_BYTES` each.

    A larger tensor has a bucket of its own.
    """
    bucket: list[torch.Tensor] = []
    num_bytes = 0
    for tensor in tensors:
        differs = bool(bucket) and (tensor.dtype, tensor.device) != (
            bucket[0].dtype, bucket[0].device,
        )  # fmt: skip
        if bucket and (differs or num_bytes + tensor.nbytes > BUCKET_BYTES):
            yield bucket
            bucket, num_bytes = [], 0
        bucket.append(tensor)
        num_bytes += tensor.nbytes
    if bucket:
        yield bucket


def flatten(bucket: list[torch.Tensor]) -> torch.Tensor:
    """Return the tensors of a bucket as one vector."""
    return torch.cat([tensor.detach().flatten() for tensor in bucket])


def unflatten_into(bucket: list[torch.Tensor], flat: torch.Tensor) -> None:
    """Copy the parts of a vector made by :func:`flatten` into the tensors of its bucket."""
    parts = flat.split([tensor.numel() for tensor in bucket])
    shaped = [part.view_as(tensor) for part, tensor in zip(parts, bucket, strict=True)]
    torch._foreach_copy_([tensor.detach() for tensor in bucket], shaped)
