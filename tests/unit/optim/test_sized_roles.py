"""Roles of parameters: which applies to a name, and what a width does to it."""

from __future__ import annotations

import fnmatch
import math

import pytest
import torch
from torch import nn

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.optim.groups import parameter_kind
from lmlab.optim.sized_roles import (
    ADAMW,
    MUON,
    SGD,
    Size,
    SizedRole,
    initial_factor,
    lr_multiplier,
    muon_multiplier,
    sized_roles,
)

WIDTH, D_FF, D_HEAD = Size.of(96, 32), Size.of(320, 64), Size.of(16, 8)


def role_of(name: str, num_axes: int) -> SizedRole:
    kind = parameter_kind(name, num_axes)
    roles = sized_roles(width=WIDTH, d_ff=D_FF, d_head=D_HEAD)
    return next(one for one in roles if one.kind == kind and fnmatch.fnmatchcase(name, one.pattern))


# Of each parameter: role, factor of its initial weights, and of the rates of Adam and SGD.
# m is 3 for the width, 5 for the feed-forward layer, 2 for a head.
TABLE = {
    "embedding.weight": ("input", 1, 1, 3),
    "head.weight": ("output", 1, 1, 3),
    "final_norm.weight": ("input", None, 1, 3),
    "blocks.0.attention.sublayer.k_norm.weight": ("input", None, 1, 2),
    "blocks.0.attention.sublayer.q.weight": ("hidden", 3**-0.5, 1 / 3, 1),
    "blocks.0.ffn.sublayer.up.weight": ("hidden", 3**-0.5, 1 / 3, 5 / 3),
    "blocks.0.ffn.sublayer.down.weight": ("hidden", 5**-0.5, 1 / 5, 3 / 5),
    "blocks.0.ffn.sublayer.router.weight": ("router", 1 / 3, 1 / 3, 1 / 3),
    "blocks.0.ffn.norm.alpha": ("scalar", None, 1, 1),
    "residual.stream": ("scalar", None, 1, 1),
    "residual.first": ("scalar", None, 1, 1),
    "embedding.scale": ("scalar", None, 1, 1),
    "embedding.tables.0.weight": ("input", 1, 1, 3),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_parameter_scales_by_its_role(name: str) -> None:
    """Yang et al. 2022, table 8, and table 3 for the router."""
    role, initial, adam, sgd = TABLE[name]
    found = role_of(name, 1 if initial is None else 2)
    assert (found.role, found.in_block) == (role, name.startswith("blocks."))
    if initial is not None:
        assert initial_factor(found) == pytest.approx(initial)
    assert lr_multiplier(ADAMW, found, "original") == pytest.approx(adam)
    assert lr_multiplier(SGD, found, "original") == pytest.approx(sgd)
    is_matrix = role in ("hidden", "router")
    assert is_matrix or lr_multiplier(MUON, found, "original") == 1


def test_numbers_that_all_features_share_have_no_width_in_a_model() -> None:
    model = build_model(resolve(compose([
        "model.vocab_size=300", "model.d_model=16", "model.num_heads=2", "model.num_layers=3",
        "model.embedding=value", "model.residual=x0", "model.norm=dyt",
    ])))  # fmt: skip
    scalars = {
        name for name, one in model.named_parameters() if role_of(name, one.ndim).role == "scalar"
    }
    # A value per layer or per norm; every other parameter has an axis of the width.
    few = {name for name, one in model.named_parameters() if one.numel() <= 3}
    assert scalars == few and {"residual.stream", "embedding.scale"} < few


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("shape", [(64, 64), (192, 64), (64, 192)])
def test_muons_updates_keep_their_spectral_condition(adjust: str, shape: tuple[int, int]) -> None:
    """An update's spectral norm over sqrt(rows / columns) is that of the base shape."""

    def spectral(rows: int, columns: int, rate: float) -> float:
        weight = nn.Parameter(torch.zeros(rows, columns))
        weight.grad = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
        optimizer = torch.optim.Muon(
            [weight], lr=rate, weight_decay=0, adjust_lr_fn=adjust, ns_steps=30,
            ns_coefficients=(1.5, -0.5, 0.0),
        )  # fmt: skip
        optimizer.step()
        norm = float(torch.linalg.matrix_norm(weight.detach().float(), 2))
        return norm / math.sqrt(rows / columns)

    rows, columns = shape
    for base in ((32, 32), (96, 32), (32, 64)):
        ratios = rows / base[0], columns / base[1]
        rate = muon_multiplier((rows, columns), ratios, adjust)
        assert spectral(rows, columns, rate) == pytest.approx(spectral(*base, 1.0), rel=0.02)
