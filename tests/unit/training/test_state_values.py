from __future__ import annotations

import collections
import json
from typing import Any

import numpy as np
import pytest
import torch

from lmlab.training.state_values import UnsavableError, decode, encode

CPU = torch.device("cpu")


def through_json(value: Any, current: Any = None) -> Any:
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(encode(value, "state", tensors))
    return decode(json.loads(text), tensors, CPU, current)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.1, "text", [1, [2.5]], {"a": {"b": []}}, (1, (2,)), {1, 2}, {1: "one"},
        {(0, 1): 2}, collections.OrderedDict(b=1, a=2), collections.deque([1, 2], maxlen=2),
        torch.Size([2, 3]), 1 + 2j, torch.float16, torch.device("cpu"), {"_kind_": "tuple"},
        float("inf"), frozenset({"x"}),
    ],
)  # fmt: skip
def test_a_value_keeps_its_type(value: Any) -> None:
    found = through_json(value)
    assert type(found) is type(value) and found == value
    assert getattr(found, "maxlen", None) == getattr(value, "maxlen", None)


def test_tensors_keep_dtype_elements_and_order_in_memory() -> None:
    matrix = torch.arange(6, dtype=torch.int64).reshape(2, 3).t()
    found = through_json({"list": [matrix, np.float32(0.5)], "array": np.arange(3)})
    assert torch.equal(found["list"][0], matrix) and found["list"][0].stride() == matrix.stride()
    assert found["list"][0].dtype is torch.int64
    assert found["list"][1] == np.float32(0.5) and found["list"][1].dtype == np.float32
    assert found["array"].tolist() == [0, 1, 2]


def test_functions_are_taken_from_the_new_object() -> None:
    assert through_json({"f": [len]}, {"f": [max]}) == {"f": [max]}
    match = r"a builtin_function_or_method in its state\['f'\]\[0\], which"
    with pytest.raises(UnsavableError, match=match):
        through_json({"f": [len]}, {"f": []})


@pytest.mark.parametrize("value", [object(), torch.Generator(), iter([]), torch.eye(2).to_sparse()])
def test_other_objects_are_named(value: Any) -> None:
    with pytest.raises(UnsavableError, match=r"its state\['a'\]\[1\], which a checkpoint cannot"):
        through_json({"a": [0, value]})
