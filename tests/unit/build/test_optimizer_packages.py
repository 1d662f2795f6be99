"""The optimizers that others maintain: as their packages compute them, counted, and resumed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_optimizer
import schedulefree
import torch
from optimizer_cases import (
    SMALL_MODEL,
    assert_resume_is_exact,
    model_and_optimizer,
    set_gradients,
)

from lmlab.accounting.model_counts import count_model, count_optimizer
from lmlab.build.optimizer_packages import check_packages
from lmlab.build.user_code import user_code
from lmlab.config.compose import compose
from lmlab.distributed.state_layout import tensors_in
from lmlab.errors import ConfigError

NEW = ["schedule_free_adamw", "lion", "ademamix", "soap", "adafactor"]
Build = Callable[[list[dict[str, Any]]], Any]
# Calls of the packages with the settings of the tests below written out.
DIRECT: dict[str, tuple[list[str], Build]] = {
    "schedule_free_adamw": (
        ["optim.lr=0.01", "optim.betas=[0.9,0.98]", "optim.r=1.0"],
        lambda groups: schedulefree.AdamWScheduleFree(
            groups, lr=0.01, betas=(0.9, 0.98), weight_decay=0.1, r=1.0
        ),
    ),
    "lion": (
        ["optim.lr=0.01", "optim.betas=[0.8,0.95]"],
        lambda groups: pytorch_optimizer.Lion(groups, lr=0.01, betas=(0.8, 0.95), weight_decay=0.6),
    ),
    "ademamix": (
        ["optim.lr=0.01", "optim.slow_beta=0.99", "optim.alpha=3", "optim.t_alpha_beta3=4"],
        lambda groups: pytorch_optimizer.AdEMAMix(
            groups, lr=0.01, betas=(0.9, 0.95, 0.99), alpha=3.0, t_alpha_beta3=4,
            weight_decay=0.1, weight_decouple=True,
        ),
    ),
    "soap": (
        ["optim.lr=0.01", "optim.precondition_frequency=2", "optim.max_precondition_dim=64"],
        lambda groups: pytorch_optimizer.SOAP(
            groups, lr=0.01, betas=(0.95, 0.95), weight_decay=0.1, precondition_frequency=2,
            max_precondition_dim=64,
        ),
    ),
    "adafactor": (
        ["optim.lr=0.03", "optim.weight_decay=0.1", "optim.d=2.0"],
        lambda groups: torch.optim.Adafactor(groups, lr=0.03, weight_decay=0.1, d=2.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEW)
def test_an_option_updates_as_its_package_called_directly(name: str) -> None:
    settings, build = DIRECT[name]
    model, optimizer = model_and_optimizer(f"optim={name}", *settings)
    reference, _ = model_and_optimizer(f"optim={name}", *settings)
    weights = list(reference.parameters())
    direct = build(
        [
            {"params": [one for one in weights if one.ndim > 1]},
            {"params": [one for one in weights if one.ndim == 1], "weight_decay": 0.0},
        ]
    )
    if hasattr(direct, "train"):
        direct.train()
    before = [weight.detach().clone() for weight in model.parameters()]
    for step in range(5):
        for one, updates in ((model, optimizer), (reference, direct)):
            set_gradients(one, step)
            updates.step()
    for start, weight, expected in zip(before, model.parameters(), weights, strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)
        assert not torch.equal(weight, start)


@pytest.mark.parametrize("name", NEW)
def test_resuming_from_a_checkpoint_is_bit_identical(tmp_path: Path, name: str) -> None:
    assert_resume_is_exact(tmp_path, f"optim={name}")


@pytest.mark.parametrize(
    "more",
    [
        ["model.attention.qk_norm=true", "model.attention.num_kv_heads=1", "model.pos=learned"],
        ["model.norm=layernorm", "model.ffn=gelu", "model.tie_embeddings=true"],
        ["model.embedding=value", "model.residual=x0", "model.head=softcap"],
    ],
    ids=["grouped", "tied", "added"],
)
@pytest.mark.parametrize("name", ["soap", "adafactor"])
def test_state_that_depends_on_shapes_is_as_large_as_counted(name: str, more: list[str]) -> None:
    chosen = [f"optim={name}", *more]
    if name == "soap":
        chosen += ["optim.max_precondition_dim=32", "optim.precondition_1d=true"]
    config = compose([*SMALL_MODEL, *chosen]).as_dict()
    counts = count_optimizer(config["optim"], count_model(config["model"]))
    model, optimizer = model_and_optimizer(*chosen)
    set_gradients(model, 0)
    optimizer.step()
    tensors = list(tensors_in(dict(optimizer.state)))
    assert counts.state == sum(one.numel() for one in tensors if one.ndim)


@pytest.mark.parametrize(
    ("name", "package"), [("lion", "pytorch_optimizer"), ("schedule_free_adamw", "schedulefree")]
)
def test_a_package_is_part_of_the_identity_and_missed_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    optim = compose([f"optim={name}"]).optim
    assert list(user_code({"optim": optim.as_dict()})) == [f"version of {package}"]
    check_packages(optim.target)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    with pytest.raises(ConfigError) as error:
        check_packages(optim.target)
    assert error.value.message == f"optim={name}: the package {package} is not installed"
    assert error.value.help == "run pip install 'lmlab[optimizers]', or set optim=adamw"


def test_options_without_a_package_have_no_code_of_others() -> None:
    for name in ("adamw", "sgd", "muon", "adafactor"):
        assert user_code({"optim": compose([f"optim={name}"]).optim.as_dict()}) == {}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["optim=ademamix", "optim.slow_beta=1"], r"slow_beta=1: expected a number in \[0, 1\)"),
        (["optim=ademamix", "optim.t_alpha_beta3=0"], "expected a number of steps above 0, or"),
        (["optim=ademamix", "optim.betas=[0.9,0.95,0.99]"], "betas=.*: expected two numbers"),
        (["optim=soap", "optim.precondition_frequency=0"], "expected 1 or more"),
        (["optim=adafactor", "optim.beta2_decay=0.8"], "expected a finite number of 0 or less"),
        (["optim=adafactor", "optim.d=0.5"], "expected a finite number of 1 or more"),
        (["optim=lion", "optim.eps=1e-8"], r"optim\.eps"),
    ],
)
def test_wrong_settings_are_refused_at_once(words: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        compose(words)
