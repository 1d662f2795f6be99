from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from lmlab.training.evaluator import Evaluator


class Bigram(nn.Module):
    """Logits that depend on the current token only, so that losses can be summed by hand."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(logits)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.table[tokens]


def by_hand(table: torch.Tensor, tokens: list[int], windows: list[tuple[int, int]]) -> list[float]:
    losses = []
    for start, length in windows:
        for position in range(start + 1, start + length):
            row = [math.exp(value) for value in table[tokens[position - 1]].tolist()]
            losses.append(-math.log(row[tokens[position]] / sum(row)))
    return losses


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_loss_and_bits_per_byte_equal_a_sum_by_hand(batch_size: int) -> None:
    table = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    tokens = [0, 1, 2, 3, 1, 0, 2, 2, 3]
    windows = [(0, 4), (3, 4), (6, 3)]  # every token but the first is predicted once
    num_bytes = 17
    evaluator = Evaluator(
        np.array(tokens, dtype=np.uint16), windows, num_bytes,
        batch_size=batch_size, device=torch.device("cpu"),
    )  # fmt: skip
    model = Bigram(table).train()
    result = evaluator.evaluate(model)

    losses = by_hand(table, tokens, windows)
    assert result.num_tokens == len(losses) == 8
    assert result.loss == pytest.approx(sum(losses) / 8, rel=1e-6)
    assert result.perplexity == pytest.approx(math.exp(sum(losses) / 8), rel=1e-6)
    assert result.bits_per_byte == pytest.approx(sum(losses) / math.log(2) / num_bytes, rel=1e-6)
    assert model.training, "the training mode is restored"


def test_is_finite_detects_a_diverged_model() -> None:
    tokens = np.array([0, 1, 0, 1], dtype=np.uint16)
    evaluator = Evaluator(tokens, [(0, 4)], 3, batch_size=1, device=torch.device("cpu"))
    assert not evaluator.evaluate(Bigram(torch.full((2, 2), torch.nan))).is_finite
    assert evaluator.evaluate(Bigram(torch.zeros(2, 2))).is_finite
