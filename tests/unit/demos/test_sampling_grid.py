"""Measures of generated text, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.demos import sampling_grid


def test_repeated_share_of_worked_examples() -> None:
    assert sampling_grid.repeated_share([[1, 2, 1, 2, 1]], 2) == 2 / 4
    assert sampling_grid.repeated_share([[1, 2, 3], [1, 2, 3]], 2) == 0, "each text by itself"
    assert sampling_grid.repeated_share([[1]], 4) == 0


def test_mean_nats_equal_those_of_the_logits() -> None:
    from lmlab.build import factory

    overrides = [
        "model.vocab_size=257", "tokenizer=bytes", "model.d_model=16", "model.num_layers=1",
        "model.num_heads=2", "model.context_length=8",
    ]  # fmt: skip
    model = factory.build_model(resolve(compose(overrides)))
    start, ids = [5, 6], [7, 8, 9]
    with torch.no_grad():
        log_probs = model(torch.tensor([[5, 6, 7, 8]]))[0].double().log_softmax(-1)
    expected = -(log_probs[1, 7] + log_probs[2, 8] + log_probs[3, 9]) / 3
    assert sampling_grid.mean_nats(model, start, ids) == pytest.approx(float(expected), rel=1e-6)
    assert math.isfinite(sampling_grid.mean_nats(model, [1] * 20, [2] * 20)), "beyond the context"
