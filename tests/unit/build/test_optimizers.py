"""The optimizer of a run with groups: settings, multipliers, rates, costs and refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from optimizer_cases import (
    SMALL_MODEL,
    model_and_optimizer,
    set_gradients,
)

from lmlab.accounting.model_counts import count_model, count_optimizer
from lmlab.accounting.target_counts import UnknownCostError
from lmlab.build.parallel_check import optimizer_unit
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.distributed.state_layout import tensors_in
from lmlab.errors import ConfigError
from lmlab.optim.groups import rate_names
from lmlab.optim.update_unit import ELEMENT, TENSOR
from lmlab.preflight.scratch_copy import measure_optimizer

MUP = ["model.param=mup", "model.param.base_d_model=4", "model.param.base_d_head=4"]


def settings_by_name(optimizer: torch.optim.Optimizer, key: str) -> dict[str, Any]:
    return {name: group[key] for group in optimizer.param_groups for name in group["names"]}


def groups(*entries: str) -> str:
    return f"optim.groups=[{', '.join('{' + entry + '}' for entry in entries)}]"


def test_settings_are_those_at_the_base_shape_of_a_parametrization() -> None:
    _, plain = model_and_optimizer("optim.lr=0.1", *MUP)
    _, grouped = model_and_optimizer(
        "optim.lr=0.1",
        *MUP,
        groups("match: '*.q.weight', lr: 0.2", "kind: gains, lr_multiplier: 3"),
    )
    for name, rate in settings_by_name(plain, "lr").items():
        factor = 2 if name.endswith(".q.weight") else 3 if name.endswith("norm.weight") else 1
        assert settings_by_name(grouped, "lr")[name] == pytest.approx(factor * rate)
    assert settings_by_name(plain, "lr")["blocks.0.attention.sublayer.q.weight"] == 0.1 / 4


def test_muon_takes_settings_of_groups_and_names_their_rates() -> None:
    _, optimizer = model_and_optimizer(
        "optim=muon", "optim.lr=0.02", "optim.adamw_lr=0.004",
        groups("match: '*.out.weight', lr: 0.01, name: outputs", "kind: head, lr_multiplier: 0.5"),
    )  # fmt: skip
    rates = settings_by_name(optimizer, "lr")
    assert rates["blocks.0.attention.sublayer.out.weight"] == 0.01
    assert rates["blocks.0.attention.sublayer.q.weight"] == 0.02
    assert (rates["head.weight"], rates["embedding.weight"]) == (0.002, 0.004)
    names = rate_names(optimizer.param_groups, {"lr": 0.02, "adamw_lr": 0.004})
    named = dict(zip(names, (group["lr"] for group in optimizer.param_groups), strict=True))
    assert named == {"lr": 0.02, "lr_outputs": 0.01, "adamw_lr": 0.004, "lr_head": 0.002}


def test_every_optimizer_of_a_run_is_asked_what_its_update_depends_on() -> None:
    spec = resolve(compose([groups("kind: matrices, optimizer: soap")]))
    assert [optimizer_unit(one) for one in spec.optimizers] == [ELEMENT, TENSOR]


def test_costs_are_counted_where_settings_change_none_and_measured_otherwise() -> None:
    plain, scaled, mixed = (
        compose([*SMALL_MODEL, *more])
        for more in ([], [groups("kind: head, lr: 0.1")], [groups("kind: head, optimizer: sgd")])
    )
    model = count_model(plain.as_dict()["model"])
    counts = [count_optimizer(one.as_dict()["optim"], model) for one in (plain, scaled)]
    assert counts[0] == counts[1]
    with pytest.raises(UnknownCostError, match=r"optim\.groups\[0\]\.optimizer"):
        count_optimizer(mixed.as_dict()["optim"], model)
    network, optimizer = model_and_optimizer(groups("kind: head, optimizer: sgd"))
    set_gradients(network, 0)
    optimizer.step()
    held = sum(one.numel() for one in tensors_in(dict(optimizer.state)))
    measured = measure_optimizer(resolve(mixed))
    assert measured is not None and measured.state == held


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ([groups("match: '*', optimizer: lion")], "expected a parameter that is left to"),
        (["optim=muon", groups("kind: head, adamw_lr: 1")], r"\[0\]\.adamw_lr: expected a setting"),
    ],
)
def test_what_an_optimizer_cannot_do_for_a_group_is_refused(chosen: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^optim\.groups.*{reason}.*\nhelp: "):
        model_and_optimizer(*chosen)
