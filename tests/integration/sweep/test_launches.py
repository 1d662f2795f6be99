"""What is refused before a study starts, what its plan says, and where its jobs would run."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from designs import a_design

from lmlab.build.network import build_network
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.study.power import smallest_detectable
from lmlab.study.sequential_test import Rule
from lmlab.sweep import slots as slots_module
from lmlab.sweep.arm_costs import facts_of, match_width
from lmlab.sweep.plan import make_plan

Sweeps = Any


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["experiment=ablate_ffn", "design.solve_d_ff=false", "model.d_ff=64"],
         "model.d_ff=96 would match"),
        (["experiment=ablate_norm", "design.arms.post=['training.steps=21']"],
         "design.allow=[tokens, batches]"),
        (["experiment=ablate_norm", "design.arms.post=['tokenizer=bytes']"],
         "tokenizer "),
        (["experiment=ablate_norm", "design.arms.post=['model.norm=psot']"],
         'did you mean "post"?'),
        (["experiment=ablate_norm", "design.arms.post=[model.norm=post]"],
         "an override within a list is quoted"),
        (["experiment=ablate_norm", "-m", "optim.lr=1e-3,1e-2"], "no key is swept beside"),
        (["experiment=ablate_norm", "design.arms.post=['optim.rate=1']"], "rate"),
        (["-m", "seed=0,1", "hydra.launcher.jobs_per_device=0"], "jobs_per_device=0"),
    ],
)  # fmt: skip
def test_refused_before_anything_is_trained(sweeps: Sweeps, words: list[str], told: str) -> None:
    printed = sweeps.run(*words, code=2)
    assert told in printed
    assert "Traceback" not in printed
    assert not list(sweeps.outputs.glob("*/*/seed*"))


def test_a_plan_runs_nothing(sweeps: Sweeps) -> None:
    printed = sweeps.run("experiment=ablate_ffn", "hydra.launcher.plan_only=true")
    assert "a true difference of" in printed
    assert "about" in printed and "runs" in printed
    for arm in ("swiglu", "silu", "gelu", "relu2"):
        assert f"\n{arm} " in printed
    assert not list(sweeps.outputs.glob("*/*/seed*"))


def test_widths_are_solved(overrides: list[str]) -> None:
    gated, plain = compose([*overrides, "model.d_ff=64"]), compose([*overrides, "model.ffn=silu"])
    solved = match_width(plain, gated, tolerance=0.01)
    assert solved["model"]["d_ff"] == 96, "two matrices of 96 hold what three of 64 do"
    assert match_width(gated, gated, tolerance=0.01)["model"]["d_ff"] == 64


def test_the_plan_counts_what_a_study_runs() -> None:
    seconds = [3.0, 5.0]
    fixed = make_plan(a_design(lr="fixed"), 2, seconds, slots=2)
    assert (fixed.least_runs, fixed.most_runs) == (10, 10)
    searched = make_plan(a_design(extra_seeds=3), 2, seconds, slots=2)
    assert searched.least_runs == 2 * 13 + 5 + 10
    assert searched.most_runs == searched.least_runs + 6
    assert make_plan(None, 2, seconds, slots=1).least_runs == 2
    assert fixed.seconds == pytest.approx((5 * 3 + 5 * 5) / 2)
    assert make_plan(None, 3, [3, 1, 2], slots=2).seconds == pytest.approx(3)
    unknown = make_plan(a_design(lr="fixed"), 2, None, slots=2)
    assert (unknown.least_runs, unknown.seconds) == (10, None)


def test_one_pair_detects_nothing() -> None:
    assert smallest_detectable(0.01, Rule(seeds=1)) == float("inf")
    assert 0 < smallest_detectable(0.01, Rule(seeds=2)) < float("inf")


@pytest.mark.parametrize(
    ("visible", "index", "jobs", "expected"),
    [
        ("3,5", None, "auto", ["3", "5"]),
        ("3,5", None, 2, ["3", "5", "3", "5"]),
        ("3,5", 1, "auto", ["5"]),
        ("GPU-a, GPU-b", None, 1, ["GPU-a", "GPU-b"]),
    ],
)
def test_a_job_sees_the_gpu_of_its_slot(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str],
    visible: str, index: int | None, jobs: int | str, expected: list[str],
) -> None:  # fmt: skip
    import torch

    config = compose(overrides)
    found = slots_module.auto_settings.build_device(config)
    gpu = dataclasses.replace(found, device=torch.device("cuda", index))
    monkeypatch.setattr(slots_module.auto_settings, "build_device", lambda config: gpu)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    slots = slots_module.find_slots(config, jobs)
    assert [dict(slot.environment)["CUDA_VISIBLE_DEVICES"] for slot in slots] == expected


def test_small_jobs_fill_the_cores(monkeypatch: pytest.MonkeyPatch, overrides: list[str]) -> None:
    monkeypatch.setattr(slots_module, "usable_cores", lambda: 8)
    config = compose([*overrides, "runtime.threads=1"])
    assert len(slots_module.find_slots(config, "auto")) == 8
    assert len(slots_module.find_slots(config, 3)) == 3
    for wrong in (0, -1, True, "many", 1.5):
        with pytest.raises(ConfigError, match="jobs_per_device"):
            slots_module.find_slots(config, wrong)  # type: ignore[arg-type]


def test_facts_are_those_of_the_model(overrides: list[str]) -> None:

    config = compose(overrides)
    facts = facts_of(config, prepare_data(resolve(config).data))
    assert facts.parameters == build_network(config.model).num_parameters()
    assert facts.tokens == 20 * 4 * 16
    assert facts.evaluations == 3
