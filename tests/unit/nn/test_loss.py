from __future__ import annotations

import math

import pytest
import torch

from lmlab.nn.loss import cross_entropy


def test_the_loss_equals_a_worked_example() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0)], [math.log(7.0), 0.0]]])
    targets = torch.tensor([[1, 1]])
    # the targets have probabilities 3/4 and 1/8
    expected = -(math.log(3 / 4) + math.log(1 / 8)) / 2
    assert float(cross_entropy(logits, targets)) == pytest.approx(expected, rel=1e-6)


def test_the_loss_is_computed_in_float32() -> None:
    logits = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.randint(0, 50, (2, 3), generator=torch.Generator().manual_seed(0))
    loss = cross_entropy(logits, targets)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, cross_entropy(logits.float(), targets))
