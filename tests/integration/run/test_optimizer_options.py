"""Runs with each optimizer: killed and resumed, and measured by the weights that it evaluates."""

from __future__ import annotations

import functools
import shutil
import signal
from pathlib import Path

import own_parts
import pytest
import torch
from launching import kill_at
from small_models import options
from stacks import members, runs
from torch.nn.functional import cross_entropy

from lmlab.build.factory import build_batches, build_evaluator, build_model
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.execute import execute
from lmlab.runs.load import load
from lmlab.runs.stacked.execute_stack import execute_stack

STEPS = 12
SHORT = [
    f"training.steps={STEPS}", "checkpoint.every_steps=4", "validation.every_steps=6",
    "samples.count=0", "checkpoint.keep_last=9",
]  # fmt: skip
SCHEDULE_FREE = ["optim=schedule_free_adamw", "schedule=constant", "optim.lr=0.03"]


def files(run: RunFolder, step: int = STEPS) -> dict[str, bytes]:
    folder = run.checkpoints / f"step_{step:08d}"
    return {name: (folder / f"{name}.safetensors").read_bytes() for name in ("model", "training")}


def losses(run: RunFolder) -> list[tuple[str, int, float]]:
    return [(row["kind"], row["step"], row["loss"]) for row in run.rows() if "loss" in row]


@pytest.mark.long
@pytest.mark.parametrize("name", options("optim"))
def test_a_killed_run_resumes_bit_for_bit(overrides, train, tmp_path: Path, name: str) -> None:
    wanted = [*overrides, *SHORT, f"optim={name}", "runtime.preflight=off"]
    straight = execute(compose([*wanted, f"output_root={tmp_path / 'straight'}"])).run
    cut = [*wanted, f"output_root={tmp_path / 'cut'}"]
    assert train(cut, functools.partial(kill_at, 7, tmp_path / "cut")) == -signal.SIGKILL
    assert train(cut) == 0
    (folder,) = (tmp_path / "cut").glob("runs/*/seed0")
    resumed = RunFolder(folder)
    assert f"resuming {folder} at step 4" in resumed.log.read_text()
    assert files(resumed) == files(straight)
    assert losses(resumed) == losses(straight)


def test_schedule_free_runs_are_measured_as_a_loop_written_by_hand(
    overrides: list[str], tmp_path: Path
) -> None:
    import schedulefree

    config = compose([*overrides, *SHORT, *SCHEDULE_FREE])
    spec = resolve(config)
    run = execute(config).run
    data, device = prepare_data(spec.data), choose_device(spec)
    evaluator = build_evaluator(spec.workload, data, device)

    model, batches = build_model(spec), build_batches(spec, data)
    matrices = [one for one in model.parameters() if one.ndim > 1]
    gains = [one for one in model.parameters() if one.ndim == 1]
    optimizer = schedulefree.AdamWScheduleFree(
        [{"params": matrices}, {"params": gains, "weight_decay": 0.0}],
        betas=(0.95, 0.99), weight_decay=0.1,
    )  # fmt: skip
    measured = []
    for step in range(STEPS + 1):
        if step % 6 == 0:
            optimizer.eval()
            measured.append(evaluator.evaluate(model).loss)
        if step == STEPS:
            break
        optimizer.train()
        for group in optimizer.param_groups:
            group["lr"] = 0.03 * min(1.0, (step + 1) / 2)
        inputs, targets = map(torch.as_tensor, batches.batch(step))
        optimizer.zero_grad()
        cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    rows = run.rows("validation")
    assert [row["loss"] for row in rows] == pytest.approx(measured, abs=1e-6)
    optimizer.train()
    assert abs(evaluator.evaluate(model).loss - rows[-1]["loss"]) > 0.01

    optimizer.eval()
    for checkpoint in ("best", "last"):
        loaded = load(run.path, checkpoint=checkpoint, device="cpu").model
        for weight, expected in zip(loaded.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)


def test_saving_and_callbacks_do_not_change_a_schedule_free_run(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_parts.trust(tmp_path / "settings", monkeypatch)
    wanted = [*overrides, *SHORT, *SCHEDULE_FREE]
    rare = execute(compose([*wanted, "arm=rare"])).run
    often = ["checkpoint.every_steps=1", "callbacks.norm._target_=own_parts.first_norm",
             "callbacks.norm.every_steps=6", "arm=often", "reuse=false"]  # fmt: skip
    frequent = execute(compose([*wanted, *often])).run
    assert files(frequent) == files(rare)
    seen = frequent.rows("callback")[-1]["norm"]
    best = load(frequent.path, checkpoint="last", device="cpu").model
    assert seen == pytest.approx(float(best.embedding.weight.detach().norm()), rel=1e-6)


def test_a_schedule_free_run_resumes_from_its_last_checkpoint(overrides: list[str]) -> None:
    config = compose([*overrides, *SHORT, *SCHEDULE_FREE])
    run = execute(config).run
    expected, curve = files(run), losses(run)
    shutil.rmtree(run.checkpoints / f"step_{STEPS:08d}")
    run.write_status("interrupted")
    assert execute(config).run.path == run.path
    assert files(run) == expected
    assert losses(run) == curve


@pytest.mark.long
def test_optimizers_train_in_a_stack_as_alone(overrides: list[str], tmp_path: Path) -> None:
    arms = {name: [f"optim={name}"] for name in ("schedule_free_adamw", "adafactor")}
    together = members([*overrides, *SHORT], tmp_path / "together", **arms)
    execute_stack([compose(one) for one in together])
    for one in members([*overrides, *SHORT], tmp_path / "apart", **arms):
        execute(compose(one))
    apart = runs(tmp_path / "apart")
    for arm, run in runs(tmp_path / "together").items():
        for ours, theirs in zip(losses(run), losses(apart[arm]), strict=True):
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], abs=1e-4), arm


def test_an_optimizer_that_declares_nothing_is_not_stacked(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_parts.trust(tmp_path / "settings", monkeypatch)
    unknown = ["~optim", "+optim={_target_: own_parts.InAttribute, lr: 0.05}"]
    both = members([*overrides, *SHORT, *unknown], tmp_path, a=["seed=0"], b=["seed=1"])
    with pytest.raises(ConfigError, match=r"optim\._target_=own_parts\.InAttribute does not decla"):
        execute_stack([compose(one) for one in both])
