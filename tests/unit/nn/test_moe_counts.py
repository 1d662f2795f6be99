"""The costs of a mixture of experts against the module, torch's counter and what autograd saves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lmlab.nn import moe_counts
from lmlab.nn.component_counts import Kind
from lmlab.nn.loss_terms import LossTerms
from lmlab.nn.moe import MoE
from lmlab.training.mixed_precision import Bf16Weights

SETTINGS: dict[str, Any] = {
    "d_model": 24, "d_ff": None, "num_experts": 8, "top_k": 2, "num_shared_experts": 0,
    "scores": "softmax", "balance_coefficient": 0.01, "bias_update_rate": None,
    "z_loss_coefficient": 0.0, "capacity_factor": None,
}  # fmt: skip
VARIANTS: list[dict[str, Any]] = [
    {},
    {"top_k": 1, "d_ff": 40},
    {"num_shared_experts": 2, "balance_coefficient": 0.0},
    {"scores": "sigmoid", "bias_update_rate": 0.001},
    {"scores": "sigmoid", "z_loss_coefficient": 0.1, "top_k": 3, "num_shared_experts": 1},
]
SHAPE = (4, 32, 24)
NUM_TOKENS = 128


@pytest.mark.parametrize("changes", [*VARIANTS, {"capacity_factor": 4.0}], ids=str)
def test_parameters_and_flops(changes: dict[str, Any]) -> None:
    settings = SETTINGS | changes
    moe, counts = MoE(**settings), moe_counts.MoE(**settings)
    assert sum(one.numel() for one in moe.parameters()) == counts.parameters
    assert moe.matmul_entries() == counts.matmul_weights
    assert counts.unused_weights == (8 - moe.top_k) * 3 * 24 * moe.d_ff
    x = torch.randn(SHAPE, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        y = moe(x, LossTerms())
        assert counter.get_total_flops() == 2 * NUM_TOKENS * counts.matmul_weights
        y.sum().backward()
    assert counter.get_total_flops() == 6 * NUM_TOKENS * counts.matmul_weights


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_saved_tensors_are_those_of_autograd(changes: dict[str, Any], precision: str) -> None:
    settings = SETTINGS | changes
    moe: Any = MoE(**settings)
    x = torch.randn(SHAPE)
    if precision == "bf16":
        moe, x = Bf16Weights(moe).model, x.bfloat16()  # type: ignore[arg-type] # any module
    sizes = {Kind.FLOAT32: 4, Kind.INDEX: 8, Kind.COMPUTE: x.element_size()}
    saved = moe_counts.MoE(**settings).saved
    predicted = NUM_TOKENS * sum(one.per_token * sizes[one.kind] for one in saved)
    assert saved_bytes(moe, x.requires_grad_()) == pytest.approx(predicted, rel=1e-3)


def saved_bytes(moe: nn.Module, x: torch.Tensor) -> int:
    own = {one.untyped_storage().data_ptr() for one in [*moe.parameters(), *moe.buffers()]}
    found, kept = {}, []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)  # prevents reuse of its address
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        moe(x, LossTerms())
    return sum(found.values())
