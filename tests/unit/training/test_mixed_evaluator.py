"""The loss on several sources is the mean of theirs by their shares, not by their sizes."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from lmlab.training.evaluator import Evaluator, ValidationResult
from lmlab.training.mixed_evaluator import MeasuredSource, MixedEvaluator, weighted_mean


class Bigram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.table[inputs]


def source(name: str, share: Fraction, ids: list[int], num_bytes: int) -> MeasuredSource:
    evaluator = Evaluator(
        np.array(ids), [(0, len(ids))], num_bytes, batch_size=2, device=torch.device("cpu")
    )
    return MeasuredSource(name, share, evaluator)


def nats(model: Bigram, ids: list[int]) -> float:
    logits = torch.log_softmax(model.table.detach().double(), -1)
    return -sum(float(logits[a, b]) for a, b in itertools.pairwise(ids))


def test_loss_and_bits_are_means_by_share() -> None:
    model, short, long = Bigram(), [1, 2, 3], [4, 5, 6, 7, 0, 1, 1, 1, 2, 2, 5, 4, 3]
    measured = MixedEvaluator(
        [source("s", Fraction(3, 4), short, 7), source("l", Fraction(1, 4), long, 20)]
    ).evaluate(model)
    losses = nats(model, short) / 2, nats(model, long) / 12
    bits = nats(model, short) / math.log(2) / 7, nats(model, long) / math.log(2) / 20
    assert [one.loss for one in measured.sources.values()] == pytest.approx(losses, rel=1e-6)
    assert measured.loss == pytest.approx(0.75 * losses[0] + 0.25 * losses[1], rel=1e-6)
    assert measured.bits_per_byte == pytest.approx(0.75 * bits[0] + 0.25 * bits[1], rel=1e-6)
    assert (measured.num_tokens, measured.num_bytes) == (14, 27)
    assert measured.perplexity == math.exp(measured.loss)
    assert list(measured.scores()) == [
        "loss", "perplexity", "bits_per_byte", "num_tokens",
        "loss/s", "bits_per_byte/s", "loss/l", "bits_per_byte/l",
    ]  # fmt: skip


def test_the_only_source_is_measured_as_it_always_was() -> None:
    model, only = Bigram(), source("", Fraction(1), [1, 2, 3, 4, 5], 9)
    found = MixedEvaluator([only]).evaluate(model)
    assert found == only.evaluator.evaluate(model)
    assert set(found.scores()) == {"loss", "perplexity", "bits_per_byte", "num_tokens"}


def test_bits_are_unknown_where_those_of_a_source_are() -> None:
    results = {
        "a": ValidationResult.of_sums(10.0, 5, 4), "b": ValidationResult.of_sums(1e5, 5, 0),
    }  # fmt: skip
    found = weighted_mean(results, dict.fromkeys("ab", Fraction(1, 2)))
    assert math.isnan(found.bits_per_byte) and found.num_bytes == 0
    assert found.loss == 10_001 and found.perplexity == math.inf
