"""Experts and their router under muP and CompleteP: Yang et al. 2022, tables 3 and 8."""

from __future__ import annotations

import math

import pytest
import torch

from lmlab.build.factory import build_model, build_optimizer
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose

SHARED = [
    "model.ffn=moe", "model.ffn.num_experts=4", "model.ffn.num_shared_experts=1",
    "model.vocab_size=300", "model.num_layers=2", "model.init=normal", "model.num_heads=4",
    "model.d_model=192", "model.d_ff=192", "optim.lr=0.01", "optim.weight_decay=0.1",
]  # fmt: skip
WIDER = ["model.param.base_d_model=48", "model.param.base_d_head=12"]  # m = 4
EXPERT, ROUTER = "blocks.1.ffn.sublayer.experts.2.{}.weight", "blocks.1.ffn.sublayer.router.weight"
SHARED_UP = "blocks.1.ffn.sublayer.shared.up.weight"


def settings(*overrides: str) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, float]]]:
    """The initial weights, and the settings of each weight's group, by name."""
    spec = resolve(compose([*SHARED, *overrides]))
    model = build_model(spec)
    groups = build_optimizer(spec, model).param_groups
    found = {name: group for group in groups for name in group["names"]}
    return dict(model.named_parameters()), found


@pytest.mark.parametrize("param", ["mup", "completep"])
def test_rates_and_initial_weights(param: str) -> None:
    standard, _ = settings()
    depth = ["model.param.base_num_layers=2"] if param == "completep" else []
    weights, groups = settings(f"model.param={param}", *WIDER, *depth)
    for name in (EXPERT.format("gate"), EXPERT.format("down"), SHARED_UP, ROUTER):
        assert groups[name]["lr"] == pytest.approx(0.01 / 4), name
        assert groups[name]["weight_decay"] == pytest.approx(0.1 * 4), name
        factor = 1 / 4 if name == ROUTER else 1 / 2
        torch.testing.assert_close(weights[name], standard[name] * factor)


def test_rates_of_muon_and_sgd() -> None:
    _, groups = settings("model.param=mup", *WIDER, "optim=muon", "optim.adjust_lr=original")
    assert groups[EXPERT.format("up")]["lr"] == 0.01
    # Muon's update of a flat matrix has a norm that does not depend on the width, and it should
    # fall as the square root of the width.
    assert groups[ROUTER]["lr"] == pytest.approx(0.01 / 2)
    _, groups = settings("model.param=mup", *WIDER, "optim=sgd", "training.grad_clip_norm=null")
    assert groups[EXPERT.format("up")]["lr"] == 0.01
    assert groups[ROUTER]["lr"] == pytest.approx(0.01 / 4)


def test_the_experts_of_a_layer_are_one_branch_of_the_residual_stream() -> None:
    """GPT-2's scheme divides by the square root of the number of branches, two per layer."""
    weights, _ = settings()
    for name, std in ((EXPERT.format("down"), 0.02 / math.sqrt(4)), (EXPERT.format("up"), 0.02)):
        assert weights[name].std().item() == pytest.approx(std, rel=0.02)
    assert weights[ROUTER].std().item() == pytest.approx(0.02, rel=0.1)


def test_muon_updates_each_experts_matrix_as_if_it_were_alone() -> None:
    spec = resolve(compose([*SHARED, "optim=muon"]))
    model = build_model(spec)
    optimizer = build_optimizer(spec, model)
    alone = {}
    for name, parameter in model.named_parameters():
        generator = torch.Generator().manual_seed(len(name))
        parameter.grad = torch.randn(parameter.shape, generator=generator)
        if ".experts.1." in name:
            alone[name] = torch.nn.Parameter(parameter.detach().clone())
            alone[name].grad = parameter.grad.clone()
    reference = torch.optim.Muon(
        alone.values(), lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    optimizer.step()
    reference.step()
    assert len(alone) == 2 * 3
    for name, parameter in model.named_parameters():
        if name in alone:
            torch.testing.assert_close(parameter, alone[name])
