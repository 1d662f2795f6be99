"""Runs of a mixture of experts: what they record, resume, evaluate and generate."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from processors import needs_bf16

from lmlab.build import factory
from lmlab.build.factory import build_evaluator
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.execute import execute
from lmlab.runs.load import load
from lmlab.training.generation import generate

SHORT = [
    "training.steps=12", "checkpoint.every_steps=4", "validation.every_steps=6",
    "training.log_every=4", "training.micro_batch_size=2", "samples.count=0",
]  # fmt: skip
EXPERTS = ["model.ffn=moe", "model.ffn.num_experts=4"]
BALANCED = [
    *EXPERTS, "model.ffn.scores=sigmoid", "model.ffn.bias_update_rate=0.01",
    "model.ffn.capacity_factor=1.1", "model.ffn.z_loss_coefficient=0.001",
    "model.ffn.num_shared_experts=1",
]  # fmt: skip
LAST = "step_00000012"


def weights(run: RunFolder) -> bytes:
    return (run.checkpoints / LAST / "model.safetensors").read_bytes()


def test_terms_are_recorded_beside_the_loss_of_the_language_model(
    overrides: list[str], tmp_path: Path
) -> None:
    config = compose([*overrides, *SHORT, *BALANCED, "training.ema=0.8"])
    run = execute(config).run
    for row in run.rows("train"):
        assert row["terms/load_balance"] == pytest.approx(2 * 0.01, rel=0.5), "two layers"
        assert 0 < row["terms/router_z"] < 0.1
        assert 1 <= row["terms/max_expert_load"] <= 4 / 2
        assert 0 <= row["terms/dropped_share"] < 0.5
    assert max(row["terms/dropped_share"] for row in run.rows("train")) > 0

    # The validation loss has no terms, and nothing is dropped.
    spec = resolve(config)
    data, device = prepare_data(spec.data), choose_device(spec)
    model = load(run.path, checkpoint="last", device="cpu").model
    loss = build_evaluator(spec.workload, data, device).evaluate(model).loss
    assert loss == pytest.approx(run.rows("validation")[-1]["loss"], abs=1e-6)

    for name, tensor in safetensors.torch.load(weights(run)).items():
        if name.endswith("selection_bias"):
            moves = tensor / 0.01
            torch.testing.assert_close(moves, moves.round(), atol=1e-3, rtol=0)
            assert 0 < float(moves.abs().max()) <= 12.5


@pytest.mark.long
@pytest.mark.parametrize("policy", ["exact", "fast", pytest.param("bf16", marks=needs_bf16)])
def test_a_run_resumes_bit_for_bit(overrides: list[str], policy: str) -> None:
    config = compose([*overrides, *SHORT, *BALANCED, f"runtime.policy={policy}"])
    run = execute(config).run
    wanted, losses = weights(run), [row["loss"] for row in run.rows()]
    shutil.rmtree(run.checkpoints / LAST)
    run.write_status("interrupted")
    torch.manual_seed(7)
    execute(config)
    assert weights(run) == wanted
    assert [row["loss"] for row in run.rows()] == losses


@pytest.mark.exhaustive
def test_a_compiled_run_computes_the_same(overrides: list[str]) -> None:
    shared = [*overrides, *SHORT, *BALANCED, "training.steps=2", "runtime.policy=fast"]
    eager, compiled = (
        execute(compose([*shared, f"study={study}", f"runtime.compile={study == 'compiled'}"])).run
        for study in ("eager", "compiled")
    )
    assert compiled.meta()["identity"]["device"]["compile"] is True
    for ours, theirs in zip(compiled.rows(), eager.rows(), strict=True):
        for key in ours.keys() & {"loss", "terms/load_balance", "terms/dropped_share"}:
            assert ours[key] == pytest.approx(theirs[key], abs=1e-4), key


def test_generation_with_the_cache_equals_generation_without(overrides: list[str]) -> None:
    config = compose([*overrides, *EXPERTS, "model.ffn.capacity_factor=0.5"])
    model = factory.build_model(resolve(config))
    prompts, expected = [[5, 9, 2], [7]], []
    with torch.inference_mode():
        model.eval()
        for prompt in prompts:
            tokens = list(prompt)
            for _ in range(8):
                tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
            expected.append(tokens[len(prompt) :])
    model.train()
    assert generate(model, prompts, max_new_tokens=8, temperature=0) == expected
