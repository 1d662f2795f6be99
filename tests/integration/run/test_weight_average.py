"""The averaged weights are the model of a run: evaluated, sampled, loaded; its training resumes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lmlab.accounting.cost_report import CostOptions, compute_settings
from lmlab.accounting.memory import estimate_memory
from lmlab.accounting.model_counts import count_model, count_optimizer
from lmlab.build.factory import build_evaluator
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.execute import execute
from lmlab.runs.load import load


def file(run: RunFolder, name: str) -> bytes:
    return (run.checkpoints / "step_00000012" / f"{name}.safetensors").read_bytes()


def test_the_average_is_what_a_run_is_measured_by_and_leaves_behind(
    overrides: list[str], tmp_path: Path
) -> None:
    settings = [*overrides, "training.steps=12", "checkpoint.every_steps=4", "samples.count=0",
                "validation.every_steps=6", f"output_root={tmp_path}"]  # fmt: skip
    plain = execute(compose(settings)).run
    averaging = compose([*settings, "training.ema=0.8"])
    run = execute(averaging).run
    assert file(run, "model") == file(plain, "model")  # training is the same
    assert run.rows("validation")[0]["loss"] == plain.rows("validation")[0]["loss"]
    assert run.rows("validation")[-1]["loss"] != plain.rows("validation")[-1]["loss"]

    spec = resolve(averaging)
    data, device = prepare_data(spec.data), choose_device(spec)
    for checkpoint in ("best", "last"):
        model = load(run.path, checkpoint=checkpoint, device="cpu").model
        loss = build_evaluator(spec.workload, data, device).evaluate(model).loss
        assert loss == pytest.approx(run.rows("validation")[-1]["loss"], abs=1e-6), checkpoint

    wanted = {name: file(run, name) for name in ("model", "training")}
    losses = [row["loss"] for row in run.rows("validation")]
    shutil.rmtree(run.checkpoints / "step_00000012")
    run.write_status("interrupted")
    torch.manual_seed(7)
    assert execute(averaging).run.path == run.path
    assert {name: file(run, name) for name in wanted} == wanted
    assert [row["loss"] for row in run.rows("validation")] == losses


def test_the_average_is_part_of_the_memory() -> None:
    config = compose(["training.ema=0.9"]).as_dict()
    model = count_model(config["model"])
    optimizer = count_optimizer(config["optim"], model)
    with_it, without = (
        estimate_memory(
            model,
            optimizer,
            compute_settings(config | {"training": config["training"] | {"ema": ema}}, "cpu",
                             CostOptions(), "exact"),
            micro_batch=1,
            validation_batch=1,
        )
        for ema in (0.9, None)
    )  # fmt: skip
    assert with_it.training - without.training == 4 * model.parameters
    assert with_it.validation - without.validation == 2 * 4 * model.parameters
