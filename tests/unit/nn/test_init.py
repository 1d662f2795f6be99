from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.init import Normal, TruncatedNormal, XavierUniform

SIZES = ["model.d_model=192", "model.num_layers=2", "model.vocab_size=2048"]


def model(*overrides: str, seed: int = 0) -> nn.Module:
    return build_model(resolve(compose([*SIZES, *overrides, f"seed={seed}"])))


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_truncated_normal_has_the_documented_spread_and_bounds() -> None:
    weights = dict(model().named_parameters())
    # Truncation at three standard deviations leaves 98.65 % of the standard deviation.
    for name, std in (
        ("embedding.weight", 1.0),
        ("head.weight", math.sqrt(2 / (2048 + 192))),
        ("blocks.0.ffn.sublayer.up.weight", math.sqrt(2 / (192 + 512))),
        ("blocks.1.attention.sublayer.q.weight", math.sqrt(2 / (192 + 192))),
    ):
        assert float(weights[name].std()) == pytest.approx(0.9865 * std, rel=0.02), name
        assert float(weights[name].abs().max()) <= 3 * std
        assert float(weights[name].abs().max()) > 2.8 * std
    assert torch.equal(weights["final_norm.weight"], torch.ones(192))


def test_normal_scales_projections_into_the_residual_stream() -> None:
    weights = dict(model("model.init=normal").named_parameters())
    assert float(weights["blocks.0.attention.sublayer.q.weight"].std()) == pytest.approx(
        0.02, rel=0.02
    )
    for name in ("attention.sublayer.out", "ffn.sublayer.down"):
        assert float(weights[f"blocks.1.{name}.weight"].std()) == pytest.approx(0.02 / 2, rel=0.02)


def test_xavier_uniform_stays_within_its_bound() -> None:
    weights = dict(model("model.init=xavier_uniform").named_parameters())
    bound = math.sqrt(6 / (192 + 192))
    assert float(weights["blocks.0.attention.sublayer.k.weight"].abs().max()) == pytest.approx(
        bound, rel=1e-3
    )


@pytest.mark.parametrize("scheme", [TruncatedNormal(), Normal(std=0.02), XavierUniform()])
def test_a_weight_depends_only_on_seed_and_name(scheme) -> None:
    def drawn(seed: int, **parts: nn.Module) -> dict[str, torch.Tensor]:
        model_of_parts = nn.ModuleDict(parts)
        torch.manual_seed(seed + 100)  # the global generator must not matter
        scheme(model_of_parts, seed=seed)
        return dict(model_of_parts.named_parameters())

    alone = drawn(0, a=nn.Linear(8, 8, bias=False))
    among = drawn(0, z=nn.Linear(4, 8, bias=False), a=nn.Linear(8, 8, bias=False))
    other = drawn(1, a=nn.Linear(8, 8, bias=False))
    assert torch.equal(alone["a.weight"], among["a.weight"])
    assert not torch.equal(alone["a.weight"], other["a.weight"])
    assert not torch.equal(among["a.weight"][:, :4], among["z.weight"])


def test_models_with_a_common_parameter_start_it_equally() -> None:
    one, other = (dict(model(f"model.pos={pos}").named_parameters()) for pos in ("rope", "learned"))
    assert set(other) - set(one) == {"pos.weight"}
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_tied_weights_are_initialised_as_an_embedding() -> None:
    tied = model("model.tie_embeddings=true")
    assert tied.head.weight is tied.embedding.weight
    assert float(tied.head.weight.std()) == pytest.approx(0.9865, rel=0.02)
