"""Settings and optimizers of some parameters: who gets which, and what cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_optimizer
import torch
from optimizer_cases import (
    SMALL_MODEL,
    assert_resume_is_exact,
    model_and_optimizer,
    set_gradients,
)

from lmlab.accounting.model_counts import count_model, count_optimizer
from lmlab.accounting.target_counts import UnknownCostError
from lmlab.build.optimizers import check_groups
from lmlab.build.parallel_check import optimizer_unit
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose, load_frozen, to_yaml
from lmlab.config.identity_settings import identity_settings
from lmlab.distributed.state_layout import tensors_in
from lmlab.errors import ConfigError
from lmlab.optim.groups import rate_names
from lmlab.optim.joint import JointOptimizer
from lmlab.optim.modes import evaluation_mode
from lmlab.optim.update_unit import ELEMENT, TENSOR
from lmlab.preflight.scratch_copy import measure_optimizer

MUP = ["model.param=mup", "model.param.base_d_model=4", "model.param.base_d_head=4"]


def settings_by_name(optimizer: torch.optim.Optimizer, key: str) -> dict[str, Any]:
    return {name: group[key] for group in optimizer.param_groups for name in group["names"]}


def groups(*entries: str) -> str:
    return f"optim.groups=[{', '.join('{' + entry + '}' for entry in entries)}]"


def test_the_first_entry_that_matches_a_parameter_applies_to_it() -> None:
    chosen = groups(
        "match: blocks.0.*, kind: matrices, lr: 0.5",
        "kind: matrices, lr: 0.25, weight_decay: 0",
        "match: [final_norm.*, blocks.1.ffn.norm.*], weight_decay: 0.5, betas: [0.5, 0.6]",
        "kind: head, lr_multiplier: 2",
    )
    _, optimizer = model_and_optimizer("optim.lr=0.1", chosen)
    rates, decays = (settings_by_name(optimizer, key) for key in ("lr", "weight_decay"))
    assert rates["blocks.0.ffn.sublayer.up.weight"] == 0.5
    assert rates["blocks.1.ffn.sublayer.up.weight"] == 0.25
    assert decays["blocks.1.ffn.sublayer.up.weight"] == 0
    assert decays["blocks.0.ffn.sublayer.up.weight"] == decays["embedding.weight"] == 0.1
    assert (rates["head.weight"], rates["embedding.weight"]) == (0.2, 0.1)
    assert decays["final_norm.weight"] == decays["blocks.1.ffn.norm.weight"] == 0.5
    assert decays["blocks.0.ffn.norm.weight"] == 0, "gains have no decay unless it is set"
    betas = settings_by_name(optimizer, "betas")
    assert betas["final_norm.weight"] == (0.5, 0.6) and betas["head.weight"] == (0.9, 0.95)
    assert settings_by_name(optimizer, "initial_lr") == rates


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


def test_an_optimizer_of_ones_own_updates_its_group_and_that_of_optim_the_rest() -> None:
    chosen = ["optim.lr=0.01", groups("kind: embedding, optimizer: lion, lr: 0.003")]
    model, optimizer = model_and_optimizer(*chosen)
    reference, _ = model_and_optimizer(*chosen)
    assert isinstance(optimizer, JointOptimizer)
    named = dict(reference.named_parameters())
    embedding = named.pop("embedding.weight")
    lion = pytorch_optimizer.Lion([embedding], lr=0.003, betas=(0.9, 0.99), weight_decay=0.6)
    adamw = torch.optim.AdamW(
        [
            {"params": [one for one in named.values() if one.ndim > 1], "weight_decay": 0.1},
            {"params": [one for one in named.values() if one.ndim == 1], "weight_decay": 0.0},
        ],
        lr=0.01, betas=(0.9, 0.95),
    )  # fmt: skip
    for step in range(4):
        for one, updates in ((model, [optimizer]), (reference, [lion, adamw])):
            set_gradients(one, step)
            for each in updates:
                each.step()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "chosen",
    [
        [groups("kind: matrices, lr_multiplier: 0.5, betas: [0.8, 0.9]")],
        ["optim=muon", groups("kind: embedding, optimizer: schedule_free_adamw")],
        ["optim=sgd", groups("kind: matrices, optimizer: soap", "kind: head, optimizer: lion")],
    ],
    ids=["settings", "modes", "three"],
)
def test_groups_resume_bit_for_bit(tmp_path: Path, chosen: list[str]) -> None:
    assert_resume_is_exact(tmp_path, *chosen)


def test_only_the_parts_that_have_modes_change_theirs() -> None:
    model, optimizer = model_and_optimizer(
        groups("kind: head, optimizer: schedule_free_adamw, lr: 0.1")
    )
    for step in range(3):
        set_gradients(model, step)
        optimizer.step()
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    with evaluation_mode(optimizer, model):
        changed = [n for n, one in model.named_parameters() if not torch.equal(one, before[n])]
    assert changed == ["head.weight"]
    assert all(torch.equal(one, before[name]) for name, one in model.named_parameters())
    with pytest.raises(ConfigError, match=r"training\.ema=0\.9"):
        model_and_optimizer(
            "training.ema=0.9", groups("kind: head, optimizer: schedule_free_adamw")
        )


def test_the_identity_holds_all_settings_in_order_and_nothing_without_groups(
    tmp_path: Path,
) -> None:
    one, other = "kind: head, lr: 0.1", "match: '*', optimizer: lion"
    configs = [compose([groups(one, other)]), compose([groups(other, one)])]
    first, second = (identity_settings(config)["optim"]["groups"] for config in configs)
    assert first == second[::-1] != second
    assert first[1]["optimizer"] == compose(["optim=lion"]).optim.as_dict()
    assert "groups" not in identity_settings(compose())["optim"]
    (tmp_path / "frozen.yaml").write_text(to_yaml(configs[0]))
    assert load_frozen(tmp_path / "frozen.yaml") == configs[0]


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
    ("entries", "reason"),
    [
        (["match: embeding.weight, lr: 1"], r"\[0\]\.match=embeding.*\nhelp: .*embedding\.weight"),
        (["kind: gains, lr: 1", "match: final_norm.*, lr: 2"], r"\[1\].*\[0\] comes first\n"),
        (["match: head.*, kind: gains, lr: 1"], r"\[0\]\.match=head\.\* .*kind=gains: expected a"),
    ],
)
def test_an_entry_without_a_parameter_is_refused_before_data_is_read(
    entries: list[str], reason: str
) -> None:
    config = compose([*SMALL_MODEL, groups(*entries)])
    with pytest.raises(ConfigError, match=rf"optim\.groups{reason}"):
        check_groups(config.as_dict()["optim"], resolve(config).network)
    with pytest.raises(ConfigError, match=rf"optim\.groups{reason}"):
        model_and_optimizer(groups(*entries))


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


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("match: '*', wd: 1", r"wd=1: unknown parameter of lmlab\.optim\.adamw\.adamw"),
        ("kind: embed, lr: 1", "kind=embed: expected one of matrices, embedding, head, gains"),
        ("lr: 1", "expected match, a pattern of names of parameters, or kind"),
        ("match: 3, lr: 1", "match=3: expected a pattern"),
        ("kind: head", "expected a setting that differs"),
        ("kind: head, lr: -1", "lr=-1: expected a finite number above 0"),
        ("kind: head, lr_multiplier: 0", "lr_multiplier=0: expected a finite number above 0"),
        ("kind: head, lr: fast", "lr=fast: expected a number"),
        ("kind: head, name: a b, lr: 1", "name=a b: expected letters"),
        ("kind: head, optimizer: lion, eps: 1", r"optimizer\.eps=1: unknown parameter"),
        ("kind: head, optimizer: {_target_: os.system}", r"optimizer\._target_=os\.system: expec"),
        ("kind: head, optimizer: {_target_: lmlab.nn.init.Normal}", "is meant for optim"),
    ],
)
def test_wrong_entries_are_refused_at_once(entry: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^optim\.groups\[0\].*{reason}"):
        compose([groups(entry)])


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'^optim=lino: .*\nhelp: did you mean "lion"'):
        compose([groups("kind: head, optimizer: lino")])


def test_a_parametrization_that_has_no_rule_for_an_optimizer_refuses_it_in_a_group() -> None:
    with pytest.raises(ConfigError, match=r"optim\._target_=.*soap: expected an optimizer whose l"):
        compose([*MUP, groups("kind: matrices, optimizer: soap")])
