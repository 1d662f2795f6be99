from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from lmlab.distributed.comparable import comparable


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate: float) -> None:
        self.rate = rate


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(5000), np.eye(1, 5000, 2500)[0]),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int64)),
        (np.random.default_rng(0), np.random.default_rng(1)),
        (random.Random(0), random.Random(1)),
        (torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)),
        (Slotted(1.0), Slotted(2.0)),
        ([{"a": (1, b"x")}], [{"a": (1, b"y")}]),
        (None, object()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_differ_do_not_compare_equal(one: Any, other: Any) -> None:
    assert comparable(one) == comparable(one)
    assert comparable(one) != comparable(other)


def test_known_tensors_are_equal_and_objects_are_compared_by_content() -> None:
    assert comparable(Slotted(1.0)) == comparable(Slotted(1.0))
    assert comparable(float("nan")) == comparable(float("nan"))
    assert comparable([torch.zeros(1)], lambda tensor: True) == comparable(
        [torch.ones(1)], lambda tensor: True
    )
