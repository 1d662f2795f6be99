"""A worker rank trains as rank 0 does, and writes nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from lmlab.build.identity import run_identity
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.data.batches import Batches
from lmlab.distributed.communicator import SINGLE_PROCESS
from lmlab.run_folder import RunFolder
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.context import RunContext
from lmlab.runs.execute import execute
from lmlab.runs.worker_rank import WorkerRank
from lmlab.training.checkpoint_files import read_weights


def worker(overrides: list[str]) -> WorkerRank:
    spec = resolve(compose(overrides))
    device = choose_device(spec)
    device.apply()
    data = prepare_data(spec.data)
    identity = run_identity(spec.identity_settings, data, device)
    folder = RunFolder(spec.named_folder)
    return WorkerRank(RunContext(spec, device, data, SINGLE_PROCESS, identity, folder))


def test_its_weights_are_those_of_rank_0_and_it_leaves_no_file(overrides: list[str]) -> None:
    rank = worker([*overrides, "arm=worker"])
    assert rank.run_to_end() == 0
    assert not rank.context.folder.path.exists()
    run = execute(compose([*overrides, "arm=rank0"])).run
    expected = read_weights(run.checkpoints / "step_00000020")
    found = dict(rank.state.model.state_dict())
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.equal(found[name], weight), name


def test_a_diverged_run_is_a_result(overrides: list[str]) -> None:
    rank = worker([*overrides, "optim.lr=1e9", "training.grad_clip_norm=null"])
    assert rank.run_to_end() == 0
    assert rank.state.progress.step < 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_ends_it_at_the_next_step(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals, tmp_path: Path
) -> None:
    rank = worker(overrides)
    fetch = Batches.batch

    def interrupted(self: Batches, step: int) -> object:
        if step == 6:
            os.kill(os.getpid(), number)
        return fetch(self, step)

    monkeypatch.setattr(Batches, "batch", interrupted)
    assert rank.run_to_end() == 128 + number
    assert rank.state.progress.step == 7
    assert not list(tmp_path.rglob("checkpoints"))
