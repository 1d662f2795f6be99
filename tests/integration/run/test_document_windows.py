"""Runs whose attention does not cross documents."""

from __future__ import annotations

import functools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import at_step
from stacks import members, runs, stack
from sweep_fixtures import Sweeps

import lmlab
from lmlab.config.compose import compose, load_frozen
from lmlab.export.folder import export_run
from lmlab.nn.document_layout import Documents
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute

DOCUMENT = "data.windows=document"


def the_run(root: Path) -> RunFolder:
    (found,) = root.glob("outputs/runs/*/seed0")
    return RunFolder(found)


def timeless(run: RunFolder) -> list[dict[str, Any]]:
    drop = ("seconds", "tokens_per_second")
    return [{key: v for key, v in row.items() if key not in drop} for row in run.rows()]


def weights(run: RunFolder, step: int) -> bytes:
    return (run.checkpoints / f"step_{step:08d}" / "model.safetensors").read_bytes()


def kill_once_saved(root: Path) -> None:
    while not [*root.glob("outputs/runs/*/seed0/checkpoints/step_*/model.safetensors")]:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.long
def test_a_run_that_was_killed_ends_with_the_same_bits(overrides, train, tmp_path: Path) -> None:
    words = [*overrides, DOCUMENT, "model.attention.window=5", "arm=x", "runtime.preflight=off"]
    straight, cut, crossing = (tmp_path / name for name in ("straight", "cut", "crossing"))

    def within(root: Path) -> list[str]:
        return [*words, f"output_root={root / 'outputs'}"]

    assert train(within(straight)) == 0
    assert (
        train(within(cut), functools.partial(at_step, 12, functools.partial(kill_once_saved, cut)))
        != 0
    )
    assert train(within(cut)) == 0
    assert timeless(the_run(cut)) == timeless(the_run(straight))
    assert weights(the_run(cut), 20) == weights(the_run(straight), 20)
    assert len(the_run(cut).meta()["sessions"]) == 2
    # The setting matters, and is another run.
    assert train([*within(crossing), "data.windows=cross"]) == 0
    assert weights(the_run(crossing), 20) != weights(the_run(straight), 20)
    ours, theirs = the_run(straight).meta(), the_run(crossing).meta()
    assert ours["identity"]["documents"] == {"end_id": 279, "is_before": False}
    assert "documents" not in theirs["identity"] and "data" not in theirs["identity"]["config"]
    assert ours["run"] != theirs["run"]
    assert ours["forward_flops_per_token"] < theirs["forward_flops_per_token"]


@pytest.mark.long
def test_a_trained_model_separates_documents_wherever_it_is_used(
    overrides: list[str], tmp_path: Path
) -> None:
    run = execute(compose([*overrides, DOCUMENT])).run
    model, tokenizer = lmlab.load(run.path, device="cpu")
    end = tokenizer.end_of_text_id
    assert model.documents == Documents(end)
    text = tokenizer.encode("A cat sat.")[:6]
    packed = torch.tensor([[*text, end, *text]])
    with torch.inference_mode():
        alone, found = model(packed[:, 7:]), model(packed)
    torch.testing.assert_close(found[:, 7:], alone, rtol=1e-5, atol=1e-5)
    export_run(run.path, tmp_path / "hf")
    exported, _ = lmlab.load(tmp_path / "hf", device="cpu")
    with torch.inference_mode():
        assert torch.equal(exported(packed[:, 7:]), alone)  # one document: the same logits
        assert not torch.allclose(exported(packed)[:, 7:], alone, atol=1e-4)
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "attention did not cross documents" in card and f"the id {end} separates" in card


@pytest.mark.long
def test_stacked_runs_equal_separate_runs(overrides: list[str], tmp_path: Path) -> None:
    words = [*overrides, DOCUMENT, "model.attention.num_kv_heads=1"]
    together, apart = tmp_path / "together", tmp_path / "apart"
    arms = {"a": ["seed=1"], "b": ["seed=2", "optim.lr=3e-3"]}
    stack(members(words, together, **arms))
    for own in members(words, apart, **arms):
        execute(compose(own))
    for arm, found in runs(together).items():
        other = runs(apart)[arm]
        assert found.meta()["identity"] == other.meta()["identity"]
        for mine, yours in zip(found.rows(), other.rows(), strict=True):
            assert mine["loss"] == pytest.approx(yours["loss"], abs=1e-4)


@pytest.mark.long
def test_windows_are_an_axis_of_a_sweep(sweeps: Sweeps) -> None:
    printed = sweeps.run("-m", "data.windows=cross,document")
    assert "2 of 2 runs are done" in printed
    losses = {}
    for path in (sweeps.outputs / "runs").glob("*/seed0"):
        run = RunFolder(path)
        assert run.status()["status"] == "done"
        windows = load_frozen(run.config).data.windows
        losses[windows] = [row["loss"] for row in run.rows("validation")]
    assert set(losses) == {"cross", "document"}
    assert losses["cross"] != losses["document"]
