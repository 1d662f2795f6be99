"""Optimizers that evaluate other weights than they train, and return to the latter exactly."""

from __future__ import annotations

import pytest
import torch
from optimizer_cases import model_and_optimizer, set_gradients

from lmlab.errors import ConfigError
from lmlab.optim.modes import evaluation_mode, has_modes
from lmlab.training.state import Progress, TrainState

OPTION = "optim=schedule_free_adamw"


def stepped(*overrides: str):  # type: ignore[no-untyped-def]
    model, optimizer = model_and_optimizer(*overrides)
    for step in range(3):
        set_gradients(model, step)
        optimizer.step()
    return model, optimizer


def test_inside_are_the_weights_that_eval_gives_and_afterwards_the_bits_of_before() -> None:
    model, optimizer = stepped(OPTION, "optim.lr=0.1")
    trained = [weight.detach().clone() for weight in model.parameters()]
    state = [optimizer.state[weight]["z"].clone() for weight in model.parameters()]
    with evaluation_mode(optimizer, model):
        inside = [weight.detach().clone() for weight in model.parameters()]
        assert not optimizer.param_groups[0]["train_mode"]
    assert optimizer.param_groups[0]["train_mode"]
    for y, x, z, now in zip(trained, inside, state, model.parameters(), strict=True):
        torch.testing.assert_close(y, 0.95 * x + 0.05 * z, rtol=1e-5, atol=1e-6)
        assert torch.equal(now, y) and not torch.equal(x, y)


def test_evaluations_do_not_change_what_is_trained() -> None:
    one, _ = stepped(OPTION)
    other, optimizer = model_and_optimizer(OPTION)
    for step in range(3):
        with evaluation_mode(optimizer, other):
            pass
        set_gradients(other, step)
        optimizer.step()
    assert all(map(torch.equal, one.parameters(), other.parameters()))


def test_an_error_inside_does_not_leave_the_evaluated_weights_behind() -> None:
    model, optimizer = stepped(OPTION)
    trained = [weight.detach().clone() for weight in model.parameters()]
    with pytest.raises(RuntimeError), evaluation_mode(optimizer, model):
        raise RuntimeError
    assert all(map(torch.equal, trained, model.parameters()))


def test_other_optimizers_have_no_modes() -> None:
    model, optimizer = stepped("optim=adamw")
    trained = [weight.detach().clone() for weight in model.parameters()]
    assert not has_modes(optimizer)
    with TrainState(model, optimizer, Progress()).evaluated():
        assert all(map(torch.equal, trained, model.parameters()))


def test_an_average_of_such_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.ema=0\.9: expected null with optim\._target"):
        model_and_optimizer(OPTION, "training.ema=0.9")
