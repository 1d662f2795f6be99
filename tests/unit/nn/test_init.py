from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.init import (
    DepthScaled,
    Normal,
    TruncatedNormal,
    XavierUniform,
    ZeroOut,
    drawn_weights,
    output_projections,
)

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


WRITERS = [
    f"blocks.{layer}.{name}.weight"
    for layer in range(2)
    for name in ("attention.sublayer.out", "ffn.sublayer.down")
]


@pytest.mark.parametrize(("init", "factor"), [("zero_out", 0.0), ("depth_scaled", 0.5)])
def test_output_projections_are_drawn_as_by_default_times_a_factor(
    init: str, factor: float
) -> None:
    weights, default = (
        dict(model(f"model.init={name}").named_parameters()) for name in (init, "truncated_normal")
    )
    for name, weight in weights.items():
        expected = default[name] * (factor if name in WRITERS else 1.0)
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-7)


def test_the_default_initialization_adds_nothing_where_branches_start_at_zero() -> None:
    net = model("model.init=zero_out", "model.norm=sandwich")
    x = torch.randn(1, 4, 192, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net.blocks[0](x, None, None, None), x)


class Mixer(nn.Module):
    """A layer of one's own, which names its projections differently."""

    output_projections = ("mix.weight",)

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(4, 3, bias=False)
        self.mix = nn.Linear(3, 4, bias=False)


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 3, bias=False), nn.Linear(3, 4, bias=False)


def test_a_part_names_its_own_output_projections() -> None:
    branch = nn.ModuleDict({"sublayer": nn.ModuleList([Expert(), Expert()])})
    net = nn.ModuleDict({"own": nn.ModuleDict({"sublayer": Mixer()}), "experts": branch})
    experts = {f"experts.sublayer.{number}.down.weight" for number in range(2)}
    assert output_projections(net) == {"own.sublayer.mix.weight", *experts}
    found = {drawn.name: drawn for _, drawn in drawn_weights(net)}
    assert {name for name, drawn in found.items() if drawn.writes} == output_projections(net)
    assert {drawn.num_writers for drawn in found.values()} == {2}, "branches, not matrices"
    ZeroOut()(net, seed=0)
    assert not net["own"]["sublayer"].mix.weight.any()
    assert net["own"]["sublayer"].down.weight.any()


@pytest.mark.parametrize(
    "scheme",
    [TruncatedNormal(), Normal(std=0.02), XavierUniform(), ZeroOut(), DepthScaled()],
)
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
