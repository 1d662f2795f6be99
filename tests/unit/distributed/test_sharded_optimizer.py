from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
from torch import nn

from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.zero1 import Zero1Optimizer

T = TypeVar("T")
SHAPES = [(4, 3), (5,), (2, 2)]


class ThreadRank(Communicator):
    """A rank in a thread, whose collectives exchange through a shared list."""

    def __init__(self, rank: int, size: int, slots: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.size, self.parallel = rank, size, "zero1"
        self.slots, self.barrier = slots, barrier

    def all_gather(self, value: T) -> list[T]:
        self.slots[self.rank] = value
        self.barrier.wait(30)
        values = list(self.slots)
        self.barrier.wait(30)
        return values

    def broadcast_from_rank0(self, compute: Callable[[], T]) -> T:
        found: T = self.all_gather(compute() if self.is_rank0 else None)[0]  # type: ignore[assignment]
        return found

    def broadcast(self, rank, tensors) -> None:
        sent = self.all_gather([tensor.detach().clone() for tensor in tensors])[rank]
        with torch.no_grad():
            for target, source in zip(tensors, sent, strict=True):
                target.copy_(source)


def on_ranks(size: int, act: Callable[[Communicator], T]) -> list[T]:
    """Call ``act`` on ranks in threads; return the results in rank order."""
    slots: list[Any] = [None] * size
    barrier, results = threading.Barrier(size), [None] * size

    def run(rank: int) -> None:
        results[rank] = act(ThreadRank(rank, size, slots, barrier))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results  # type: ignore[return-value]


def make_parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def train(optimizer, parameters: list[nn.Parameter], steps: range) -> list[torch.Tensor]:
    for step in steps:
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return [parameter.detach().clone() for parameter in parameters]


def adamw(parameters: list[nn.Parameter]) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.1)


def reference(steps: int) -> tuple[list[torch.Tensor], dict[str, Any]]:
    """Weights and state of an unsharded optimizer."""
    parameters = make_parameters()
    optimizer = adamw(parameters)
    return train(optimizer, parameters, range(steps)), optimizer.state_dict()


def assert_same_state(state: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(state["state"]) == list(expected["state"])
    for index, values in expected["state"].items():
        for key, value in values.items():
            assert torch.equal(state["state"][index][key], value), (index, key)
    assert state["param_groups"] == expected["param_groups"]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_weights_and_state_dict_are_those_of_an_unsharded_optimizer(size: int) -> None:
    def act(comm: Communicator):
        parameters = make_parameters()
        optimizer = Zero1Optimizer(adamw(parameters), comm)
        weights = train(optimizer, parameters, range(3))
        return weights, optimizer.state_dict(), len(optimizer.state)

    weights, state = reference(3)
    ranks = on_ranks(size, act)
    for found, _, _ in ranks:
        assert all(torch.equal(a, b) for a, b in zip(found, weights, strict=True))
    assert_same_state(ranks[0][1], state)
    assert sum(num_states for *_, num_states in ranks) == len(SHAPES), "each state is stored once"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_state_loaded_on_rank_0_reaches_the_rank_that_needs_it(size: int) -> None:
    expected, _ = reference(5)
    weights, state = reference(2)

    def act(comm: Communicator):
        parameters = make_parameters()
        with torch.no_grad():
            for parameter, weight in zip(parameters, weights, strict=True):
                parameter.copy_(weight)
        optimizer = Zero1Optimizer(adamw(parameters), comm)
        if comm.is_rank0:
            optimizer.load_state_dict(state)
        optimizer.broadcast()
        return train(optimizer, parameters, range(2, 5)), len(optimizer.state)

    ranks = on_ranks(size, act)
    for found, _ in ranks:
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert sum(num_states for _, num_states in ranks) == len(SHAPES)


def test_state_that_belongs_to_no_parameter_is_that_of_rank_0_everywhere() -> None:
    def act(comm: Communicator):
        optimizers = []
        for _ in range(2):
            parameters = make_parameters()
            optimizers.append(Zero1Optimizer(adamw(parameters), comm))
            train(optimizers[-1], parameters, range(1))
        saving, resumed = optimizers
        saving.state["all"] = {"count": 7 + comm.rank, "mean": torch.full((2,), 1.0 + comm.rank)}
        saved = saving.state_dict()
        if comm.is_rank0:
            resumed.load_state_dict(saved)
        resumed.broadcast()
        return list(saved["state"]), resumed.state["all"]

    ranks = on_ranks(2, act)
    assert ranks[0][0] == [0, 1, 2, "all"]
    for _, found in ranks:
        assert found["count"] == 7 and found["mean"].tolist() == [1.0, 1.0]


def test_broadcasting_without_a_loaded_state_changes_nothing() -> None:
    parameters = make_parameters()
    optimizer = Zero1Optimizer(adamw(parameters), SINGLE_PROCESS)
    train(optimizer, parameters, range(2))
    state = optimizer.state_dict()
    optimizer.broadcast()
    assert_same_state(optimizer.state_dict(), state)
