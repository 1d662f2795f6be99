"""Counts of each norm strategy compared with its modules."""

from __future__ import annotations

import pytest
from torch import nn

from lmlab.nn import norm, norm_counts

D = 24


NAMES = ["PreRMSNorm", "PostRMSNorm", "PreLayerNorm", "SandwichRMSNorm", "PreGainlessRMSNorm"]


@pytest.mark.parametrize("name", [*NAMES, "PreDyT"])
def test_branch_and_final_norm_have_the_counted_parameters(name: str) -> None:
    parameters = {"alpha": 0.5} if name == "PreDyT" else {"eps": 1e-5}
    strategy, counts = (getattr(module, name)(**parameters) for module in (norm, norm_counts))
    branch, final = strategy.wrap(nn.Identity(), D), strategy.final(D)
    for module, counted in ((branch, counts.wrap(D)), (final, counts.final(D))):
        assert counted.parameters == sum(weight.numel() for weight in module.parameters())


def test_no_norm_costs_nothing() -> None:
    strategy, counts = norm.NoNorm(), norm_counts.NoNorm()
    assert not list(strategy.wrap(nn.Identity(), D).parameters())
    for counted in (counts.wrap(D), counts.final(D)):
        assert (counted.parameters, counted.saved, counted.textbook) == (0, (), ())


def test_norms_of_several_groups_save_as_much_as_one_of_their_joint_width() -> None:
    one, several = norm_counts.rms_norm(D), norm_counts.rms_norm(D // 4, groups=4)
    wide = {tensor.name: tensor.per_token for tensor in one}
    grouped = {tensor.name: tensor.per_token for tensor in several}
    assert grouped == wide | {"norm root": 4}
