"""Counts of each norm strategy compared with its modules."""

from __future__ import annotations

import pytest
from torch import nn

from lmlab.nn import norm, norm_counts

D = 24


@pytest.mark.parametrize("name", ["PreRMSNorm", "PostRMSNorm", "PreLayerNorm"])
def test_branch_and_final_norm_have_the_counted_parameters(name: str) -> None:
    strategy, counts = getattr(norm, name)(eps=1e-5), getattr(norm_counts, name)(eps=1e-5)
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
