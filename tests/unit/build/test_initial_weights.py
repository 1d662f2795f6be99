"""Initial weights of a parametrization: spread, equal random numbers, and refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lmlab.build.factory import build_model
from lmlab.build.initial_weights import scale_initial_weights
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError

WIDE = ["model.vocab_size=512", "model.d_model=256", "model.num_heads=8", "model.d_ff=1024",
        "model.num_layers=2"]  # fmt: skip
BASE = ["model.param.base_d_model=32", "model.param.base_d_head=32"]


def weights(*overrides: str) -> dict[str, torch.Tensor]:
    model = build_model(resolve(compose([*WIDE, *overrides])))
    return {name: weight.detach() for name, weight in model.named_parameters()}


def test_hidden_matrices_shrink_with_the_width_and_the_head_stays() -> None:
    """Of the distribution at the base shape, whose matrices are 1/8 of these in each axis."""
    found = weights("model.param=mup", *BASE)
    for name, std in (
        ("embedding.weight", 1.0),
        ("head.weight", math.sqrt(2 / (512 + 32))),
        ("blocks.0.ffn.sublayer.up.weight", math.sqrt(2 / (128 + 32)) / math.sqrt(8)),
        ("blocks.1.attention.sublayer.q.weight", math.sqrt(2 / (32 + 32)) / math.sqrt(8)),
    ):
        assert float(found[name].std()) == pytest.approx(0.9865 * std, rel=0.02), name


def test_a_width_of_the_feed_forward_layer_of_its_own() -> None:
    found = weights("model.param=mup", *BASE, "model.param.base_d_ff=512", "model.init=normal")
    assert float(found["blocks.0.ffn.sublayer.up.weight"].std()) == pytest.approx(
        0.02 / math.sqrt(8), rel=0.02
    )
    assert float(found["blocks.0.ffn.sublayer.down.weight"].std()) == pytest.approx(
        0.02 / 2 / math.sqrt(2), rel=0.02
    )


@pytest.mark.parametrize("init", ["normal", "truncated_normal", "xavier_uniform"])
def test_the_random_numbers_are_those_of_the_standard_parametrization(init: str) -> None:
    standard = weights(f"model.init={init}")
    found = weights(f"model.init={init}", "model.param=completep", *BASE)
    for name, weight in standard.items():
        ratio = float(found[name].norm() / weight.norm())
        torch.testing.assert_close(found[name], weight * ratio, rtol=1e-5, atol=1e-6)


def test_an_initialization_without_a_standard_deviation_is_refused() -> None:
    spec = resolve(compose([*WIDE, "model.param=mup"]))

    def draw(model: nn.Module, seed: int) -> None:
        del model, seed

    with pytest.raises(ConfigError, match=r"model\.init\._target_=.*expected a method std"):
        scale_initial_weights(nn.Linear(2, 2), draw, spec.param.init_rules())
    scale_initial_weights(nn.Linear(2, 2), draw, ())


def test_imported_weights_are_not_multiplied() -> None:
    with pytest.raises(ConfigError, match=r"MuP: expected standard with imported weights"):
        compose([*WIDE, "model.param=mup", "model.init._target_=lmlab.hf.weights.Imported",
                 "+model.init.path=x"])  # fmt: skip
