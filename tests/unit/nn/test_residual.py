"""The mix with the first input, against its equation."""

from __future__ import annotations

import torch
from model_of_parts import SHAPE, TOKENS, model_of
from small_models import build, leaf

from lmlab.nn.residual import FirstInputResidual

X0 = leaf("model/residual", "x0")


def test_the_mix_with_the_first_input_is_that_of_its_equation() -> None:
    network = model_of(residual=X0)
    residual = network.residual
    assert isinstance(residual, FirstInputResidual)
    with torch.no_grad():
        first = x = network.embedding(TOKENS)
        for layer, block in enumerate(network.blocks):
            x = block(
                residual.stream[layer] * x + residual.first[layer] * first, None, None, None, None
            )
        expected = network.head(network.final_norm(x))
        torch.testing.assert_close(network(TOKENS), expected, rtol=1e-5, atol=1e-5)


def test_training_starts_from_the_plain_residual() -> None:
    network = build(SHAPE | {"residual": X0})
    plain = build(SHAPE)
    plain.load_state_dict(network.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(network(TOKENS), plain(TOKENS))
