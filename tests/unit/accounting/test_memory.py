"""Activations compared with saved-tensor hooks, and the largest batch."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import pytest
import torch
from small_models import attentions, build
from torch.nn.attention import SDPBackend, sdpa_kernel

from lmlab.accounting.cost_report import CostOptions, compute_settings
from lmlab.accounting.memory import (
    ComputeSettings,
    activation_bytes,
    estimate_memory,
    largest_batch,
)
from lmlab.accounting.model_counts import count_model
from lmlab.config.compose import compose
from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.kernel_set import KernelSet
from lmlab.optim.optimizer_counts import OptimizerCounts
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import training_objective

BATCH = 3
ROWS = 1 << 14


def saved_bytes(network: Any, context: int, policy: str, unfused: bool) -> int:
    """Bytes of all tensors that autograd saves, each once, excluding parameters and tables."""
    if policy == "bf16":
        network = Bf16Weights(network).model
    if policy != "exact":
        chunked = functools.partial(chunked_cross_entropy, rows=ROWS)
        network.use(KernelSet(head_loss=lambda vocabulary, device: chunked))
    objective = training_objective(network)
    of_model = {t.untyped_storage().data_ptr() for t in [*network.parameters(), *network.buffers()]}
    seen: dict[int, int] = {}
    references = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        references.append(tensor)  # prevents reuse of its address
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in of_model:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    tokens = torch.zeros(BATCH, context, dtype=torch.long)
    kernel = sdpa_kernel(SDPBackend.MATH) if unfused else contextlib.nullcontext()
    with kernel, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        objective(tokens, tokens.clone())
    return sum(seen.values())


@pytest.mark.long
@pytest.mark.parametrize("policy", ["exact", "fast", "bf16"])
@pytest.mark.parametrize("unfused", [False, True])
def test_activations_equal_what_autograd_saves(
    models: list[Any], policy: str, unfused: bool
) -> None:
    cost_options = CostOptions(fused_attention=not unfused)
    worst = 0.0
    # All models in the first case, every fifth in the others: 5 divides no number of options.
    every = policy == "exact" and not unfused
    for model in models if every else models[::5]:
        counted = count_model(model)
        settings = compute_settings({"model": model}, "cpu", cost_options, policy)
        saved = saved_bytes(build(model), counted.context, policy, unfused)
        predicted = sum(activation_bytes(counted, BATCH, settings).values())
        worst = max(worst, abs(predicted / saved - 1))
    assert worst < 0.01  # the four bytes of the loss's total weight are not counted


@pytest.mark.parametrize("policy", ["exact", "fast", "bf16"])
@pytest.mark.parametrize("unfused", [False, True])
def test_activations_of_each_attention_equal_what_autograd_saves(
    policy: str, unfused: bool
) -> None:
    cost_options = CostOptions(fused_attention=not unfused)
    for model in attentions():
        counted = count_model(model)
        settings = compute_settings({"model": model}, "cpu", cost_options, policy)
        network = build(model)
        saved = saved_bytes(network, counted.context, policy, unfused)
        predicted = sum(activation_bytes(counted, BATCH, settings).values())
        assert predicted == pytest.approx(saved, rel=0.01), model["attention"]
        tables = sum(buffer.numel() for buffer in network.buffers())
        assert counted.tables == tables, model["attention"]


@pytest.mark.parametrize("policy", ["exact", "fast", "bf16"])
def test_masks_of_dropout_are_counted(models: list[Any], policy: str) -> None:
    for model in models[::40]:
        dropping = model | {"dropout": 0.1}
        counted = count_model(dropping)
        settings = compute_settings({"model": dropping}, "cpu", CostOptions(), policy)
        predicted = sum(activation_bytes(counted, BATCH, settings).values())
        saved = saved_bytes(build(dropping), counted.context, policy, unfused=False)
        assert predicted == pytest.approx(saved, rel=0.01)


def gpt2_xl(*words: str) -> dict[str, Any]:
    chosen = ["model=gpt2_xl", "model.ffn=silu", *words]
    return dict(compose(chosen).as_dict()["model"])


def test_the_largest_batch_is_within_memory_and_one_more_is_not() -> None:
    counted = count_model(compose(["model=tiny"]).as_dict()["model"])
    optimizer = OptimizerCounts(2 * counted.parameters, None)
    settings = ComputeSettings(precision="bf16", device="cuda")
    for passes in (1, 2):
        batch = largest_batch(counted, optimizer, settings, 10**9, passes=passes)
        peaks = [
            estimate_memory(counted, optimizer, settings, micro_batch=size, passes=passes).peak
            for size in (batch, batch + 1)
        ]
        assert peaks[0] <= 10**9 < peaks[1]
    assert largest_batch(counted, optimizer, settings, 1000) == 0


def test_each_memory_saving_setting_reduces_activations_as_expected() -> None:
    counted = count_model(gpt2_xl())

    def saved(**changes: Any) -> int:
        return sum(activation_bytes(counted, 4, ComputeSettings(**changes)).values())

    total = saved()
    assert saved(fused_attention=False) > total
    assert saved(precision="bf16") < total
    gradient_of_head = 4 * 50257 * 1600
    logits_and_targets = 4 * 1024 * (4 * 50257 + 8)
    assert saved(loss_chunk=512) == total - logits_and_targets + gradient_of_head
    assert saved(checkpointing=True) < total / 8
    assert saved(device="cuda") < total
