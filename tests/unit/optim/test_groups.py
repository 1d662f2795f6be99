"""Parameter groups: every weight once, and weight decay for matrices only."""

from __future__ import annotations

import pytest
import torch
from optimizer_cases import model_and_optimizer

from lmlab.errors import ConfigError
from lmlab.optim.groups import (
    GroupRule,
    Multipliers,
    apply_multipliers,
    parameter_groups,
    rate_names,
)


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


RULES = (
    [
        GroupRule("blocks.*.down.weight", Multipliers(lr=0.5, weight_decay=2.0)),
        GroupRule("blocks.*", Multipliers(lr=0.25), kind="hidden"),
        GroupRule("head.*", Multipliers(eps=0.1)),
    ],
    [GroupRule("blocks.0.*", Multipliers(lr=4.0), kind="hidden")],
)


def test_the_first_rule_of_each_set_applies_and_sets_multiply() -> None:
    model, _ = model_and_optimizer("model.num_layers=2")
    groups = parameter_groups(model, *RULES)
    found = {name: group for group in groups for name in group["names"]}
    assert found.keys() == dict(model.named_parameters()).keys()
    assert sum(len(group["params"]) for group in groups) == len(found), "each once"
    assert len({group["name"] for group in groups}) == len(groups) == 7
    for name, group in found.items():
        layer, is_matrix = name.split(".")[1], not name.endswith("norm.weight")
        lr = {("0", True): 1.0, ("1", True): 0.25}.get((layer, is_matrix), 1.0)
        lr *= 2 if name.endswith("down.weight") else 1
        assert group.get("lr_multiplier", 1.0) == lr, name
        decay = 2.0 if name.endswith("down.weight") else 1.0
        assert group.get("weight_decay_multiplier", 1.0) == decay, name
        assert group.get("eps_multiplier", 1.0) == (0.1 if name == "head.weight" else 1.0), name


def test_multipliers_change_the_settings_of_the_optimizer() -> None:
    model, _ = model_and_optimizer("model.num_layers=2")
    groups = parameter_groups(model, *RULES)
    optimizer = torch.optim.AdamW(groups, lr=0.2, weight_decay=0.3, eps=1e-3)
    apply_multipliers(optimizer, groups, "torch.optim.AdamW")
    found = {name: group for group in optimizer.param_groups for name in group["names"]}
    down = found["blocks.1.ffn.sublayer.down.weight"]
    assert (down["lr"], down["weight_decay"], down["eps"]) == (0.1, 0.6, 1e-3)
    head = found["head.weight"]
    assert (head["lr"], head["weight_decay"], head["eps"]) == (0.2, 0.3, 1e-4)
    assert found["blocks.1.ffn.norm.weight"]["weight_decay"] == 0.0


class Joining(torch.optim.SGD):
    def __init__(self, params: list[dict[str, object]], **settings: float) -> None:
        super().__init__([one for group in params for one in group["params"]], **settings)  # type: ignore[attr-defined]


def test_an_optimizer_that_loses_the_groups_is_refused() -> None:
    model, _ = model_and_optimizer()
    groups = parameter_groups(model, RULES[1])
    with pytest.raises(ConfigError, match="expected an optimizer that keeps the parameter groups"):
        apply_multipliers(Joining(groups, lr=0.1), groups, "my.Joining")
    groups = parameter_groups(model)
    apply_multipliers(Joining(groups, lr=0.1), groups, "my.Joining")  # nothing to keep


def test_an_optimizer_without_the_setting_is_refused() -> None:
    model, _ = model_and_optimizer()
    groups = parameter_groups(model, RULES[0])
    with pytest.raises(ConfigError, match=r"groups have eps, which has a multiplier of 0\.1"):
        apply_multipliers(torch.optim.SGD(groups, lr=0.1), groups, "torch.optim.SGD")


@pytest.mark.parametrize(
    ("optim", "expected"),
    [
        ({"lr": 0.1}, [("lr", 0.1), ("lr_hidden", 0.05)]),
        ({"lr": 0.2, "adamw_lr": 0.1}, [("adamw_lr", 0.1), ("lr_hidden", 0.1)]),
    ],
)
def test_rates_with_a_multiplier_have_the_name_of_their_group(
    optim: dict[str, float], expected: list[tuple[str, float]]
) -> None:
    groups = [
        {"name": "embedding", "initial_lr": expected[0][1]},
        {"name": "hidden", "initial_lr": expected[1][1], "lr_multiplier": 0.5},
    ]
    assert rate_names(groups, optim) == tuple(name for name, _ in expected)
