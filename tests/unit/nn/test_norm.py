from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lmlab.nn.norm import (
    DyT,
    GainlessRMSNorm,
    LayerNorm,
    NoNorm,
    PostRMSNorm,
    PreDyT,
    PreGainlessRMSNorm,
    PreLayerNorm,
    PreRMSNorm,
    RMSNorm,
    SandwichRMSNorm,
)


def test_rms_norm_equals_a_worked_example() -> None:
    norm = RMSNorm(4, eps=0.0)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 1.0, 1.0]))
    # the mean square of (1, 1, 1, 5) is 7
    x = torch.tensor([1.0, 1.0, 1.0, 5.0])
    expected = torch.tensor([1.0, 2.0, 1.0, 5.0]) / 7**0.5
    torch.testing.assert_close(norm(x), expected)


def test_eps_is_inside_the_root() -> None:
    x = torch.full((3,), 1e-3)
    expected = x / (1e-6 + 1e-4) ** 0.5
    torch.testing.assert_close(RMSNorm(3, eps=1e-4)(x), expected)


def test_dynamic_tanh_equals_a_worked_example() -> None:
    squash = DyT(3, alpha=0.5)
    with torch.no_grad():
        squash.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
        squash.alpha.mul_(2)
    expected = torch.tensor([math.tanh(0.3), 2 * math.tanh(-2.0), -math.tanh(9.0)])
    torch.testing.assert_close(squash(torch.tensor([0.3, -2.0, 9.0])), expected)
    assert squash.alpha.shape == (1,), "FSDP2 takes no parameter without axes"


def test_the_norm_without_gain_equals_that_with_gains_of_one() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    bare, norm = GainlessRMSNorm(8, eps=1e-3), RMSNorm(8, eps=1e-3)
    assert torch.equal(bare(x), norm(x)) and not list(bare.parameters())
    norm.load_state_dict(bare.implied_weights())


@pytest.mark.parametrize("kind", [RMSNorm, LayerNorm, GainlessRMSNorm, DyT])
def test_norms_are_computed_in_float32(kind: type[nn.Module]) -> None:
    x = torch.randn(2, 64, generator=torch.Generator().manual_seed(0)).bfloat16() * 200
    norm = kind(64, 1e-5)
    exact = norm(x.float())
    assert norm(x).dtype == torch.bfloat16
    torch.testing.assert_close(norm(x), exact.bfloat16(), rtol=0, atol=0)


def test_layer_norm_equals_torch() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LayerNorm(8, eps=1e-3)(x), nn.LayerNorm(8, eps=1e-3)(x))


class Double(nn.Module):
    def forward(self, x: torch.Tensor, *context: object) -> torch.Tensor:
        return 2 * x


def rms(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def test_each_strategy_normalises_at_its_position() -> None:
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    cases = [
        (PreRMSNorm(eps=1e-5), x + 2 * rms(x)),
        (PostRMSNorm(eps=1e-5), rms(x + 2 * x)),
        (NoNorm(), 3 * x),
        (PreLayerNorm(eps=1e-5), x + 2 * nn.LayerNorm(8)(x)),
        (PreGainlessRMSNorm(eps=1e-5), x + 2 * rms(x)),
        (PreDyT(alpha=0.3), x + 2 * torch.tanh(0.3 * x)),
        (SandwichRMSNorm(eps=1e-5), x + rms(2 * rms(x))),
    ]
    for strategy, expected in cases:
        torch.testing.assert_close(strategy.wrap(Double(), 8)(x), expected)


def test_only_strategies_that_leave_the_sum_as_it_is_normalise_before_the_head() -> None:
    x = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PreRMSNorm(eps=1e-5).final(8)(x), rms(x))
    torch.testing.assert_close(PreLayerNorm(eps=1e-5).final(8)(x), nn.LayerNorm(8)(x))
    torch.testing.assert_close(SandwichRMSNorm(eps=1e-5).final(8)(x), rms(x))
    torch.testing.assert_close(PreGainlessRMSNorm(eps=1e-5).final(8)(x), rms(x))
    torch.testing.assert_close(PreDyT(alpha=0.3).final(8)(x), torch.tanh(0.3 * x))
    assert PostRMSNorm(eps=1e-5).final(8)(x) is x
    assert NoNorm().final(8)(x) is x
