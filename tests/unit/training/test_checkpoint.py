from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from lmlab.errors import DataError, DiskError
from lmlab.runtime.background import ThreadWorker
from lmlab.training.checkpoint import Checkpoints, find_weights, read_weights
from lmlab.training.state import Progress, TrainState, load_weights


class Tied(nn.Module):
    """Two layers that share a matrix, as a model with tied embeddings does."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.middle = nn.Linear(4, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.middle(self.embedding(tokens)))


def make_state(seed: int) -> TrainState:
    torch.manual_seed(seed)
    model = Tied()
    matrices = [model.embedding.weight, model.middle.weight]
    groups = [
        {"params": matrices, "weight_decay": 0.1, "initial_lr": 1e-2, "name": "matrices"},
        {"params": [model.middle.bias], "weight_decay": 0.0, "initial_lr": 1e-2, "name": "rest"},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    return TrainState(model, optimizer, Progress())


def take_steps(state: TrainState, count: int) -> None:
    for _ in range(count):
        state.optimizer.zero_grad()
        tokens = torch.tensor([[state.progress.step % 6, 1, 2]])
        state.model(tokens).square().sum().backward()
        state.optimizer.step()
        state.progress.step += 1
        state.progress.tokens += 3


def weights(state: TrainState) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in state.model.parameters()]


def equal(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_going_on_from_a_checkpoint_is_bit_identical(tmp_path: Path) -> None:
    straight = make_state(0)
    take_steps(straight, 3)
    Checkpoints(tmp_path).save(straight)
    take_steps(straight, 4)

    resumed = make_state(1)  # other weights: everything must come from the file
    assert Checkpoints(tmp_path).restore_latest(resumed)
    assert resumed.progress.step == 3
    assert not equal(weights(straight), weights(resumed))
    take_steps(resumed, 4)
    assert equal(weights(straight), weights(resumed))
    assert resumed.progress == straight.progress
    assert resumed.model.head.weight is resumed.model.embedding.weight
    first, second = resumed.optimizer.param_groups
    assert first["betas"] == (0.9, 0.95)
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)


def test_random_state_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    state = make_state(0)
    Checkpoints(tmp_path).save(state)
    expected = torch.rand(3)
    torch.manual_seed(99)
    Checkpoints(tmp_path).restore_latest(state)
    assert torch.equal(torch.rand(3), expected)


def test_only_the_last_and_the_pinned_are_kept(tmp_path: Path) -> None:
    state, keeper = make_state(0), Checkpoints(tmp_path, keep_last=2, keep_steps=[2])
    for _ in range(5):
        take_steps(state, 1)
        keeper.save(state)
    assert keeper.steps() == [2, 4, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"step_{step:08d}" for step in (2, 4, 5)
    ]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(bytes(data))


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("damage", [truncate, noise, zeros, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "state.json"])
def test_a_damaged_newest_is_passed_over_and_named(
    tmp_path: Path, damage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    state, keeper = make_state(0), Checkpoints(tmp_path, keep_last=3)
    take_steps(state, 1)
    keeper.save(state)
    sound = weights(state)
    take_steps(state, 1)
    keeper.save(state)
    if name == "state.json" and damage is noise:
        (keeper.path(2) / name).write_text('{"format_version": 1, "files": {')
    else:
        damage(keeper.path(2) / name)
    fresh = make_state(1)
    assert keeper.restore_latest(fresh)
    assert fresh.progress.step == 1
    assert equal(weights(fresh), sound)
    assert "step_00000002" in caplog.text
    assert "the one before" in caplog.text


def test_no_checkpoint_leaves_the_state_alone(tmp_path: Path) -> None:
    state = make_state(0)
    before = weights(state)
    assert not Checkpoints(tmp_path / "none").restore_latest(state)
    assert equal(weights(state), before)


def test_a_full_disk_loses_nothing_saved_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, keeper = make_state(0), Checkpoints(tmp_path, keep_last=1)
    take_steps(state, 1)
    keeper.save(state)
    take_steps(state, 1)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmlab.training.checkpoint._fsync", full)
    with pytest.raises(DiskError, match="disk is full"):
        keeper.save(state)
    monkeypatch.undo()
    assert keeper.steps() == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]
    assert keeper.restore_latest(make_state(1))


def test_what_a_kill_left_half_written_is_swept_away(tmp_path: Path) -> None:
    state, keeper = make_state(0), Checkpoints(tmp_path)
    keeper.save(state)
    shutil.copytree(keeper.path(0), tmp_path / ".tmp-dead")
    assert keeper.restore_latest(make_state(1))
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000000"]


def test_best_weights_replace_the_former_best_only(tmp_path: Path) -> None:
    state, keeper = make_state(0), Checkpoints(tmp_path)
    keeper.save_best(state.model, 1, 2.0)
    take_steps(state, 1)
    keeper.save_best(state.model, 2, 1.5)
    assert find_weights(tmp_path, "best").name == "best_00000002"
    assert [path.name for path in tmp_path.iterdir()] == ["best_00000002"]
    fresh = make_state(1)
    load_weights(fresh.model, read_weights(find_weights(tmp_path, "best")), tmp_path)
    assert equal(weights(fresh), weights(state))
    with pytest.raises(DataError, match="no last checkpoint"):
        find_weights(tmp_path, "last")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another model"):
        load_weights(nn.Linear(2, 2), {"weight": torch.zeros(3, 2)}, tmp_path)
    with pytest.raises(DataError, match=r"missing \['bias'\]"):
        load_weights(nn.Linear(2, 2), {"weight": torch.zeros(2, 2)}, tmp_path)


def test_nothing_in_a_checkpoint_is_pickled(tmp_path: Path) -> None:
    state = make_state(0)
    take_steps(state, 1)
    folder = Checkpoints(tmp_path).save(state)
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "training.safetensors",
        "state.json",
    }
    record = json.loads((folder / "state.json").read_text())
    assert record["progress"]["step"] == 1
    assert b"pickle" not in b"".join(path.read_bytes() for path in folder.iterdir())


class Gated(ThreadWorker):
    """A worker that begins when it is let."""

    def __init__(self) -> None:
        super().__init__("test")
        self.gate = threading.Event()
        self.begun = 0

    def start(self, task) -> None:
        self.begun += 1
        super().start(lambda: (self.gate.wait(), task())[1])


def test_what_is_written_behind_is_the_state_at_the_save(tmp_path: Path) -> None:
    state, worker = make_state(0), Gated()
    keeper = Checkpoints(tmp_path, worker=worker)
    take_steps(state, 2)
    then, at_save = weights(state), make_state(1)
    keeper.save_best(state.model, 2, 1.0)
    keeper.save(state)
    torch.manual_seed(99)
    take_steps(state, 3)
    assert keeper.steps() == []
    worker.gate.set()
    keeper.wait()
    assert Checkpoints(tmp_path).restore_latest(at_save)
    assert at_save.progress.step == 2
    assert equal(weights(at_save), then)
    take_steps(at_save, 3)
    assert equal(weights(at_save), weights(state)), "the optimizer's state was copied too"
    best = make_state(1)
    load_weights(best.model, read_weights(find_weights(tmp_path, "best")), tmp_path)
    assert equal(weights(best), then)


def test_an_earlier_steps_save_is_waited_for(tmp_path: Path) -> None:
    state, worker = make_state(0), Gated()
    keeper = Checkpoints(tmp_path, worker=worker)
    keeper.save(state)
    take_steps(state, 1)
    threading.Timer(0.2, worker.gate.set).start()
    keeper.save(state)
    assert 0 in keeper.steps(), "two steps were held in memory at once"
    keeper.wait()
    assert keeper.steps() == [0, 1]


def test_tied_weights_are_copied_and_written_once(tmp_path: Path) -> None:
    folder = Checkpoints(tmp_path).save_best(make_state(0).model, 1, 1.0)
    assert set(read_weights(folder)) == {"embedding.weight", "middle.weight", "middle.bias"}
