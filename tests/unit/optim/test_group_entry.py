"""Which parameters an entry of optim.groups applies to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from optimizer_cases import (
    SMALL_MODEL,
    model_and_optimizer,
)

from lmlab.build.optimizers import check_groups
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError


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
