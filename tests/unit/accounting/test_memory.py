"""Activations against what saved-tensor hooks see, and the algebra of memory."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from small_models import build
from torch.nn.attention import SDPBackend, sdpa_kernel

from lmlab.accounting.cost_report import CostOptions, compute_settings
from lmlab.accounting.memory import (
    ComputeSettings,
    activation_bytes,
    estimate_memory,
    largest_batch,
    textbook_activation_values,
)
from lmlab.accounting.model_counts import count_model
from lmlab.accounting.textbook import Textbook
from lmlab.config.compose import compose
from lmlab.optim.counts import OptimizerCounts
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import chunked_loss, full_logits_loss

BATCH = 3


def saved_bytes(network: Any, context: int, policy: str, plain_attention: bool) -> int:
    """Bytes of every tensor that autograd saves, each once, parameters and tables aside."""
    if policy == "bf16":
        network = Bf16Weights(network).model
    objective = full_logits_loss(network)
    if policy != "exact":
        objective = chunked_loss(network)
    own = {t.untyped_storage().data_ptr() for t in [*network.parameters(), *network.buffers()]}
    seen: dict[int, int] = {}
    kept = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)  # so that no address is used twice
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    tokens = torch.zeros(BATCH, context, dtype=torch.long)
    kernel = sdpa_kernel(SDPBackend.MATH) if plain_attention else contextlib.nullcontext()
    with kernel, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        objective(tokens, tokens.clone())
    return sum(seen.values())


@pytest.mark.parametrize("policy", ["exact", "fast", "bf16"])
@pytest.mark.parametrize("plain_attention", [False, True])
def test_activations_are_what_autograd_saves(
    models: list[Any], policy: str, plain_attention: bool
) -> None:
    question = CostOptions(fused_attention=not plain_attention)
    worst = 0.0
    # Of all but the first case every fifth: the numbers of options have no 5 in them.
    every = policy == "exact" and not plain_attention
    for model in models if every else models[::5]:
        counted = count_model(model)
        how = compute_settings({"model": model}, "cpu", question, policy)
        saved = saved_bytes(build(model), counted.context, policy, plain_attention)
        predicted = sum(activation_bytes(counted, BATCH, how).values())
        worst = max(worst, abs(predicted / saved - 1))
    assert worst < 0.01  # all but the four bytes of the loss's total weight


def gpt2_xl(*words: str) -> dict[str, Any]:
    chosen = ["model=gpt2_xl", "model.ffn=silu", *words]
    return dict(compose(chosen).as_dict()["model"])


def test_the_list_on_paper_is_the_formula() -> None:
    for words in ([], ["model.context_length=64", "model.num_layers=3"]):
        counted = count_model(gpt2_xl(*words))
        paper = Textbook.of(counted)
        assert counted.parameters == paper.parameters
        assert 4 * textbook_activation_values(counted, 1) == paper.bytes_per_sequence
        assert 4 * textbook_activation_values(counted, 5) == 5 * paper.bytes_per_sequence


def test_adamw_on_paper_for_gpt2_xl() -> None:
    paper = Textbook.of(count_model(gpt2_xl()))
    assert f"{paper.fixed_bytes / 1e9:.2f}" == "26.17"
    assert f"{paper.bytes_per_sequence / 1e9:.2f}" == "15.31"
    assert paper.largest_batch(80 * 10**9) == 3
    assert paper.peak_bytes(3) <= 80e9 < paper.peak_bytes(4)


def test_the_largest_batch_fits_and_one_more_does_not() -> None:
    counted = count_model(compose(["model=tiny"]).as_dict()["model"])
    optimizer = OptimizerCounts(2 * counted.parameters, None)
    how = ComputeSettings(precision="bf16", device="cuda")
    for passes in (1, 2):
        batch = largest_batch(counted, optimizer, how, 10**9, passes=passes)
        peaks = [
            estimate_memory(counted, optimizer, how, micro_batch=size, passes=passes).peak
            for size in (batch, batch + 1)
        ]
        assert peaks[0] <= 10**9 < peaks[1]
    assert largest_batch(counted, optimizer, how, 1000) == 0


def test_what_saves_memory_does() -> None:
    counted = count_model(gpt2_xl())

    def kept(**changes: Any) -> int:
        return sum(activation_bytes(counted, 4, ComputeSettings(**changes)).values())

    whole = kept()
    assert kept(fused_attention=False) > whole
    assert kept(precision="bf16") < whole
    the_heads_gradient = 4 * 50257 * 1600
    logits_and_targets = 4 * 1024 * (4 * 50257 + 8)
    assert kept(loss_chunk=512) == whole - logits_and_targets + the_heads_gradient
    assert kept(checkpointing=True) < whole / 8
    assert kept(device="cuda") < whole
