from __future__ import annotations

import pytest
import torch

from lmlab.distributed import buckets
from lmlab.distributed.buckets import flatten, make_buckets, unflatten_into


@pytest.fixture(autouse=True)
def _small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 40)


def sizes_of(tensors: list[torch.Tensor]) -> list[list[int]]:
    return [[tensor.numel() for tensor in bucket] for bucket in make_buckets(tensors)]


def test_buckets_are_full_but_not_too_large() -> None:
    tensors = [torch.zeros(size) for size in (4, 6, 1, 10, 11, 2)]  # 4 bytes an element
    assert sizes_of(tensors) == [[4, 6], [1], [10], [11], [2]]
    assert sizes_of([]) == []


def test_a_bucket_has_one_dtype() -> None:
    dtypes = [torch.float32, torch.float32, torch.bfloat16, torch.float32]
    assert sizes_of([torch.zeros(1, dtype=dtype) for dtype in dtypes]) == [[1, 1], [1], [1]]


def test_the_order_of_tensors_is_kept() -> None:
    tensors = [torch.full((3,), float(number)) for number in range(10)]
    ordered = [tensor for bucket in make_buckets(tensors) for tensor in bucket]
    assert all(left is right for left, right in zip(tensors, ordered, strict=True))


def test_unflattening_inverts_flattening() -> None:
    shapes = [(2, 3), (), (1,), (0, 4), (2, 1, 2)]
    generator = torch.Generator().manual_seed(0)
    sources = [torch.randn(shape, generator=generator) for shape in shapes]
    targets = [torch.zeros(shape) for shape in shapes]
    unflatten_into(targets, flatten(sources))
    assert all(torch.equal(a, b) for a, b in zip(targets, sources, strict=True))


def test_parameters_and_transposed_tensors_are_filled_in_place() -> None:
    transposed = torch.zeros(2, 3).T
    parameter = torch.nn.Parameter(torch.zeros(2))
    unflatten_into([transposed, parameter], torch.arange(8.0))
    assert transposed.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert parameter.tolist() == [6, 7]
