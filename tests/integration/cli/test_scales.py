"""A scale selects a model; an explicit choice of a model or tokenizer is unchanged."""

from __future__ import annotations

import pytest

from lmlab.config.compose import compose

SIZES = ("vocab_size", "context_length", "d_model", "num_layers", "num_heads", "d_ff")


@pytest.mark.parametrize(
    ("scale", "sizes"),
    [
        ("default", (1024, 128, 128, 4, 4, "auto")),
        ("smoke", (512, 32, 32, 2, 2, "auto")),
        ("cpu", (1024, 64, 64, 3, 4, "auto")),
        ("reference", (10_000, 256, 512, 4, 16, 1344)),
    ],
)
def test_a_scale_selects_a_model(scale: str, sizes: tuple[object, ...]) -> None:
    model = compose([f"scale={scale}"]).model
    assert tuple(getattr(model, size) for size in SIZES) == sizes
    wider = compose([f"scale={scale}", "model.norm=post", "model.num_layers=9"]).model
    assert (wider.num_layers, wider.d_model) == (9, sizes[2])


@pytest.mark.parametrize("scale", ["smoke", "cpu", "reference"])
def test_a_scale_does_not_change_an_explicit_choice(scale: str) -> None:
    expected = compose(["model=gpt2_small"]).model
    assert compose([f"scale={scale}", "model=gpt2_small"]).model == expected
    assert compose([f"scale={scale}", "tokenizer=bytes"]).model.vocab_size == 257
