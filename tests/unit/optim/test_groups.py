"""Parameter groups: every weight once, and weight decay for matrices only."""

from __future__ import annotations

import pytest
import torch
from optimizer_cases import model_and_optimizer

from lmlab.optim.groups import parameter_groups


def test_groups_hold_every_weight_once_and_decay_matrices_only() -> None:
    model, _ = model_and_optimizer(
        "model.num_layers=1", "model.pos=learned", "model.attention.qk_norm=true"
    )
    groups = {group["name"]: group for group in parameter_groups(model)}
    assert {name: group["names"] for name, group in groups.items()} == {
        "embedding": ["embedding.weight", "pos.weight", "head.weight"],
        "vectors": [
            "blocks.0.attention.norm.weight",
            "blocks.0.attention.sublayer.q_norm.weight",
            "blocks.0.attention.sublayer.k_norm.weight",
            "blocks.0.ffn.norm.weight",
            "final_norm.weight",
        ],
        "hidden": [
            "blocks.0.attention.sublayer.q.weight",
            "blocks.0.attention.sublayer.k.weight",
            "blocks.0.attention.sublayer.v.weight",
            "blocks.0.attention.sublayer.out.weight",
            "blocks.0.ffn.sublayer.gate.weight",
            "blocks.0.ffn.sublayer.up.weight",
            "blocks.0.ffn.sublayer.down.weight",
        ],
    }
    assert groups["vectors"]["weight_decay"] == 0.0
    assert "weight_decay" not in groups["hidden"]


def test_a_model_without_norms_has_no_empty_group_and_a_tied_head_appears_once() -> None:
    model, _ = model_and_optimizer("model.norm=none", "model.tie_embeddings=true")
    groups = parameter_groups(model)
    assert sorted(group["name"] for group in groups) == ["embedding", "hidden"]
    names = [name for group in groups for name in group["names"]]
    assert "embedding.weight" in names and "head.weight" not in names


@pytest.mark.parametrize("optim", ["adamw", "sgd", "muon"])
def test_weight_decay_shrinks_matrices_and_leaves_gains_unchanged(optim: str) -> None:
    model, optimizer = model_and_optimizer(
        f"optim={optim}", "optim.weight_decay=0.5", "optim.lr=0.1"
    )
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            assert torch.equal(weight, before[name]), name
        else:
            assert float(weight.detach().norm()) < float(before[name].norm()), name
