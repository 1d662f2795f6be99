"""Layers that draw random numbers: the seed determines them, and nothing else moves them."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import own_parts
import pytest
import torch
from launching import Launcher, kill_at
from stacks import members, runs

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runs.load import load
from lmlab.runs.stacked.execute_stack import execute_stack

STEPS = 20


@pytest.fixture(autouse=True)
def _trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_parts.trust(tmp_path / "settings", monkeypatch)


def with_layer(overrides: list[str], name: str, *more: str) -> list[str]:
    return [*overrides, f"model.ffn={{_target_: own_parts.{name}}}", "training.batch_size=8",
            "training.micro_batch_size=2", "samples.count=0", "model.d_ff=24", *more]  # fmt: skip


def trained(overrides: list[str], folder: Path) -> RunFolder:
    return execute(compose([*overrides, f"output_root={folder}"])).run


def weights(run: RunFolder, step: int = STEPS) -> bytes:
    return (run.checkpoints / f"step_{step:08d}" / "model.safetensors").read_bytes()


def losses(run: RunFolder, kind: str = "train") -> list[float]:
    return [row["loss"] for row in run.rows(kind)]


def trust_and_kill_at(step: int, settings: Path) -> None:
    own_parts.trust(settings)
    kill_at(step, settings.parent / "cut")


@pytest.mark.long
def test_a_killed_run_with_random_layers_ends_with_the_bits_of_an_uninterrupted_one(
    overrides: list[str], start: Callable[..., Any], tmp_path: Path
) -> None:
    wanted = with_layer(overrides, "Random", "validation.every_steps=3", "model.dropout=0.1")
    torch.manual_seed(1)
    straight = trained(wanted, tmp_path / "straight")
    cut = [*wanted, f"output_root={tmp_path / 'cut'}", "runtime.preflight=off"]
    kill = functools.partial(trust_and_kill_at, 13, tmp_path / "settings")
    assert start(cut, kill).wait() == -signal.SIGKILL
    torch.manual_seed(2)
    resumed = execute(compose(cut)).run
    assert (resumed.path / "train.log").read_text().count("resuming") == 1
    assert weights(resumed) == weights(straight)
    assert losses(resumed) == losses(straight)
    assert losses(resumed, "validation") == losses(straight, "validation")
    again = trained([*wanted, "validation.every_steps=20", "arm=again"], tmp_path / "again")
    assert weights(again) == weights(straight), "evaluations move no stream of training"
    other = trained([*wanted, "seed=1"], tmp_path / "other")
    assert losses(other)[0] != losses(straight)[0]


def test_a_loaded_model_has_the_tables_that_its_constructors_drew(
    overrides: list[str], tmp_path: Path
) -> None:
    wanted = with_layer(overrides, "Random", "training.steps=2", "checkpoint.every_steps=1")
    run = trained(wanted, tmp_path / "a")
    expected = build_model(resolve(compose(wanted))).blocks[0].ffn.get_buffer("sublayer.table")
    torch.manual_seed(3)
    loaded = load(run.path, checkpoint="last", device="cpu").model
    assert torch.equal(loaded.blocks[0].ffn.get_buffer("sublayer.table"), expected)


@pytest.mark.long
@pytest.mark.parametrize("layer", ["TorchRandom", "PythonRandom"])
def test_a_stack_does_not_share_random_numbers(
    overrides: list[str], tmp_path: Path, layer: str
) -> None:
    seeds = {"a": ["seed=1"], "b": ["seed=2"]}
    wanted = with_layer(overrides, layer, "runtime.policy=fast")
    with pytest.raises(RuntimeError):
        execute_stack([compose(one) for one in members(wanted, tmp_path / "stack", **seeds)])
    assert {run.status()["status"] for run in runs(tmp_path / "stack").values()} == {"interrupted"}
    for one in members(wanted, tmp_path / "stack", **seeds):  # what the sweep does next
        execute(compose(one))
    final = {arm: losses(run)[-1] for arm, run in runs(tmp_path / "stack").items()}
    assert len(set(final.values())) == 2


@pytest.mark.long
def test_each_rank_draws_its_own_numbers_and_a_killed_run_of_two_ranks_resumes_exactly(
    overrides: list[str], tmp_path: Path
) -> None:
    wanted = with_layer(overrides, "Random", "arm=x", "runtime.preflight=off")
    launch = Launcher(tmp_path)
    straight, cut = ([*wanted, f"output_root={tmp_path / name}"] for name in ("straight", "cut"))
    kill = functools.partial(trust_and_kill_at, 13, tmp_path / "settings")
    trust = {rank: functools.partial(own_parts.trust, tmp_path / "settings") for rank in range(2)}
    expected = launch(straight, 2, trust)
    assert expected.codes == [0, 0], expected.printed
    assert set(launch(cut, 2, trust | {1: kill}).codes) != {0}
    resumed = launch(cut, 2, trust)
    assert resumed.codes == [0, 0], resumed.printed
    assert weights(resumed.run) == weights(expected.run)
