from __future__ import annotations

import collections
import pickle

import torch
from torch import nn

from lmlab.distributed.state_layout import (
    TensorSpec,
    allocate,
    layout_without_tensors,
    state_tensors,
)


def adamw_state() -> dict:
    parameters = [nn.Parameter(torch.ones(50, 40)), nn.Parameter(torch.ones(3).bfloat16())]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def test_a_layout_is_small_and_keeps_everything_but_tensors() -> None:
    state = adamw_state()
    layout = layout_without_tensors(state)
    assert len(pickle.dumps(layout)) < 3000 < len(pickle.dumps(state))
    assert layout["param_groups"] == state["param_groups"]
    assert layout["state"][0]["exp_avg"] == TensorSpec((50, 40), torch.float32, "cpu")
    assert layout["state"][1]["exp_avg"].dtype == torch.bfloat16


def test_an_allocated_state_has_the_tensors_of_the_layout() -> None:
    state = adamw_state()
    allocated = allocate(layout_without_tensors(state), torch.device("meta"))
    for ours, theirs in zip(state_tensors(allocated), state_tensors(state), strict=True):
        assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)
        ours.copy_(theirs)
    fresh = torch.optim.AdamW([nn.Parameter(torch.ones(50, 40)), nn.Parameter(torch.ones(3))])
    fresh.load_state_dict(allocated)
    assert torch.equal(fresh.state_dict()["state"][0]["exp_avg"], state["state"][0]["exp_avg"])


def test_containers_of_tensors_are_allocated_and_kept() -> None:
    history = collections.deque([torch.ones(2), torch.zeros(1)], maxlen=3)
    state = {
        "state": {0: {"history": history, "by_name": collections.OrderedDict(a=torch.ones(3))}}
    }
    layout = layout_without_tensors(state)
    assert layout["state"][0]["history"][1] == TensorSpec((1,), torch.float32, "cpu")
    allocated = allocate(layout, torch.device("cpu"))
    assert allocated["state"][0]["history"].maxlen == 3
    assert [one.shape for one in state_tensors(allocated)] == [(2,), (1,), (3,)]


def test_tensors_off_the_cpu_are_allocated_on_the_device() -> None:
    layout = {"state": {0: {"step": TensorSpec((), torch.float32, "cpu"),
                            "exp_avg": TensorSpec((2,), torch.float32, "cuda")}}}  # fmt: skip
    values = allocate(layout, torch.device("meta"))["state"][0]
    assert (values["step"].device.type, values["exp_avg"].device.type) == ("cpu", "meta")
