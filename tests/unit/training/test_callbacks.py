"""Callbacks: what they return is recorded, and what they change is noticed."""

from __future__ import annotations

import functools
import logging

import own_parts
import pytest
import torch
from torch import nn

from lmlab.errors import ConfigError
from lmlab.runtime.random_streams import RandomStreams
from lmlab.training.callbacks import Callback, Callbacks
from lmlab.training.state import Progress, TrainState


def make_state() -> TrainState:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Dropout(0.5), nn.Linear(3, 5))
    model[1].eval()  # a mode of its own, which a callback must not change
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.arange(5)).square().sum().backward()
    optimizer.step()
    return TrainState(model, optimizer, Progress(step=6))


def call(function: object, state: TrainState) -> list[tuple[str, dict[str, float]]]:
    callbacks = Callbacks([Callback("probe", 3, function)])  # type: ignore[arg-type]
    assert callbacks.are_due(6) and not callbacks.are_due(7)
    return callbacks.call(state, RandomStreams(0, torch.device("cpu")))


def ignore_step(how: str, *, model: nn.Module, step: int) -> object:
    return own_parts.writes(model, how)


@pytest.mark.parametrize(
    ("how", "part"),
    [("weights", "weights"), ("gradients", "gradients"), ("hook", "hooks"), ("threads", "torch")],
)
def test_a_callback_that_changes_the_run_ends_it(how: str, part: str) -> None:
    threads = torch.get_num_threads()
    try:
        with pytest.raises(ConfigError, match=rf"callbacks\.probe: changed .*{part}.* at step 6"):
            call(functools.partial(ignore_step, how), make_state())
    finally:
        torch.set_num_threads(threads)


def test_modes_and_generators_are_restored() -> None:
    state = make_state()

    def draw(*, model: nn.Module, step: int) -> dict[str, object]:
        assert not any(module.training for module in model.modules())
        model.train()
        return {"draw": torch.rand(())}

    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first, ((name, numbers),), second = torch.rand(()), call(draw, state), torch.rand(())
    assert torch.equal(torch.stack([first, second]), expected)
    assert (name, call(draw, state)) == ("probe", [("probe", numbers)])
    assert [module.training for module in state.model.modules()] == [True, True, False, True]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [(3, "found int"), ({"value": "text"}, "found str"), ({"step": 1}, "found 'step'")],
)
def test_a_callback_that_fails_is_named_and_not_called_again(
    returned: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def wrong(*, model: nn.Module, step: int) -> object:
        calls.append(step)
        return returned

    callbacks = Callbacks([Callback("wrong", 1, wrong)])  # type: ignore[arg-type]
    streams = RandomStreams(0, torch.device("cpu"))
    with caplog.at_level(logging.WARNING):
        assert callbacks.call(make_state(), streams) == callbacks.call(make_state(), streams) == []
    assert calls == [6]
    assert "callbacks.wrong failed at step 6" in caplog.text and reason in caplog.text
