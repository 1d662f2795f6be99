from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tied_model import all_equal, copy_parameters, make_state, take_steps
from torch import nn

from lmlab.distributed.communicator import SINGLE_PROCESS
from lmlab.errors import DataError
from lmlab.training.state import Snapshot, broadcast_state, copy_weights, load_weights


def test_a_snapshot_survives_json_and_restores_weights_optimizer_and_progress() -> None:
    state = make_state(0)
    take_steps(state, 3)
    state.progress.best_loss, state.progress.best_step = 1.5, 2
    snapshot = Snapshot.capture(state)
    record = json.loads(json.dumps(snapshot.record))
    restored = make_state(1)
    Snapshot(snapshot.weights, snapshot.training, record).restore(restored, Path("x"))
    assert restored.progress == state.progress
    take_steps(state, 2)
    take_steps(restored, 2)
    assert all_equal(copy_parameters(restored), copy_parameters(state)), "moments and step counts"
    assert restored.optimizer.param_groups[0]["betas"] == (0.9, 0.95)


def test_later_updates_do_not_change_a_snapshot() -> None:
    state = make_state(0)
    take_steps(state, 1)
    snapshot = Snapshot.capture(state)
    before = {name: tensor.clone() for name, tensor in snapshot.training.items()}
    weights = {name: tensor.clone() for name, tensor in snapshot.weights.items()}
    take_steps(state, 1)
    assert all(torch.equal(snapshot.training[name], tensor) for name, tensor in before.items())
    assert all(torch.equal(snapshot.weights[name], tensor) for name, tensor in weights.items())
    assert snapshot.record["progress"]["step"] == 1


@pytest.mark.parametrize("stored", ["embedding.weight", "head.weight"])
def test_tied_weights_load_under_either_name(stored: str) -> None:
    weights = copy_weights(make_state(0).model)
    weights[stored] = weights.pop("embedding.weight")
    fresh = make_state(1)
    load_weights(fresh.model, weights, Path("x"))
    assert all_equal(copy_parameters(fresh), copy_parameters(make_state(0)))


def test_weights_of_another_model_are_refused() -> None:
    source = Path("run/model.safetensors")
    with pytest.raises(DataError, match=r"^run/model\.safetensors: weights of another model"):
        load_weights(nn.Linear(2, 2), {"weight": torch.zeros(3, 2)}, source)
    with pytest.raises(DataError, match=r"missing \['bias'\], unexpected \[\]"):
        load_weights(nn.Linear(2, 2), {"weight": torch.zeros(2, 2)}, source)
    weights = {"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "gain": torch.zeros(2)}
    with pytest.raises(DataError, match=r"missing \[\], unexpected \['gain'\]"):
        load_weights(nn.Linear(2, 2), weights, source)


def test_broadcasting_within_one_process_changes_nothing() -> None:
    state = make_state(0)
    take_steps(state, 2)
    before, progress = copy_parameters(state), state.progress
    broadcast_state(state, SINGLE_PROCESS)
    assert all_equal(copy_parameters(state), before)
    assert state.progress is progress
    assert state.optimizer.state, "the moments are still there"
