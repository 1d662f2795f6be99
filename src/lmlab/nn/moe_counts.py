"""Costs of :mod:`lmlab.nn.moe`. No torch."""

from __future__ import annotations

from lmlab.nn.component_counts import ComponentCounts, Kind, SavedTensor
from lmlab.nn.ffn_width import expert_d_ff


def MoE(
    *,
    d_model: int,
    d_ff: int | None,
    num_experts: int,
    top_k: int,
    num_shared_experts: int,
    scores: str,
    balance_coefficient: float,
    bias_update_rate: float | None,
    z_loss_coefficient: float,
    capacity_factor: float | None,
) -> ComponentCounts:
    """Count the router, the experts that a token uses, and the shared ones.

    All choices are counted as computed; in training, a capacity factor may drop some.
    """
    del bias_update_rate, capacity_factor
    width = expert_d_ff(d_model, top_k + num_shared_experts) if d_ff is None else d_ff
    router, expert = num_experts * d_model, 3 * d_model * width
    shared = num_shared_experts * expert
    names = ("gate", "silu of the gate", "up", "product")
    chosen = tuple(SavedTensor(f"{name} of an expert", top_k * width) for name in names)
    both = chosen
    if num_shared_experts:
        both += tuple(SavedTensor(f"shared {name}", num_shared_experts * width) for name in names)
    routing = [
        SavedTensor("scores", num_experts, Kind.FLOAT32),
        SavedTensor("chosen experts", top_k, Kind.INDEX),
        SavedTensor("order of the pairs", top_k, Kind.INDEX),
        SavedTensor("gates", top_k),
    ]
    if top_k > 1:
        routing += [
            SavedTensor("chosen scores", top_k, Kind.FLOAT32),
            SavedTensor("their sum", 1, Kind.FLOAT32),
        ]
    if balance_coefficient and scores == "sigmoid":
        routing.append(SavedTensor("sum of the scores", 1, Kind.FLOAT32))
    if z_loss_coefficient:
        routing.append(SavedTensor("logits and their log sum", num_experts + 1, Kind.FLOAT32))
    return ComponentCounts(
        parameters=router + num_experts * expert + shared,
        matmul_weights=router + top_k * expert + shared,
        stored_weights=router + num_experts * expert + shared,
        saved=(
            SavedTensor("feed-forward input", d_model),
            SavedTensor("inputs of experts", top_k * d_model),
            SavedTensor("outputs of experts", top_k * d_model),
            *both,
            *routing,
        ),
        textbook=(*both, SavedTensor("down", (top_k + (num_shared_experts > 0)) * d_model),
                  SavedTensor("scores", num_experts), SavedTensor("sum", d_model)),
        d_ff=width,
    )  # fmt: skip
