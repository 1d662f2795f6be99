"""What a launch on this machine refuses before it trains, and what its plan says."""

from __future__ import annotations

import pytest
from sweep_fixtures import Sweeps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=ablate_ffn", "design.solve_d_ff=false", "model.d_ff=64"],
         "model.d_ff=96 would match"),
        (["experiment=ablate_norm", "design.arms.post=['training.steps=21']"],
         "design.allow=[tokens, batches]"),
        (["experiment=ablate_norm", "design.arms.post=['tokenizer=bytes']"],
         "expected 257, the size of the tokenizer's vocabulary"),
        (["experiment=ablate_norm", "design.arms.post=['model.norm=psot']"],
         'did you mean "post"?'),
        (["experiment=ablate_norm", "design.arms.post=[model.norm=post]"],
         "help: quote an override in a list"),
        (["experiment=ablate_norm", "-m", "optim.lr=1e-3,1e-2"],
         "expected one value: a study sweeps over its arms"),
        (["experiment=ablate_norm", "design.arms.post=['optim.rate=1']"], "rate"),
        (["-m", "seed=0,1", "hydra.launcher.jobs_per_device=0"], "jobs_per_device=0"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_before_anything_is_trained(
    sweeps: Sweeps, arguments: list[str], message: str
) -> None:
    printed = sweeps.run(*arguments, code=2)
    assert message in printed
    assert "Traceback" not in printed
    assert not list(sweeps.outputs.glob("*/*/seed*"))


def test_plan_only_prints_the_plan_and_runs_nothing(sweeps: Sweeps) -> None:
    printed = sweeps.run("experiment=ablate_ffn", "hydra.launcher.plan_only=true")
    assert "a true difference of" in printed
    assert "about" in printed and "runs" in printed
    for arm in ("swiglu", "silu", "gelu", "relu2"):
        assert f"\n{arm} " in printed
    assert not list(sweeps.outputs.glob("*/*/seed*"))
