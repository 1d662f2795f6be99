from __future__ import annotations

import torch
from torch import nn

from lmlab.nn.fused_linear import fused_linears, separate_linears


def test_fused_products_equal_separate_ones_with_their_gradients() -> None:
    torch.manual_seed(0)
    maps = [nn.Linear(6, width, bias=False) for width in (4, 2, 5)]
    x = torch.randn(3, 7, 6, requires_grad=True)
    found = []
    for products in (separate_linears, fused_linears):
        results = list(products(x, maps))
        loss = sum((result * (n + 1)).square().sum() for n, result in enumerate(results))
        gradients = torch.autograd.grad(loss, [x, *(part.weight for part in maps)])
        found.append([*results, *gradients])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
