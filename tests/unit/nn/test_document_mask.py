"""Attention that does not cross documents."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from model_of_parts import SHAPE, model_of
from small_models import attentions, build, leaf
from torch import Tensor

from lmlab.accounting.memory import ComputeSettings, activation_bytes
from lmlab.accounting.model_counts import count_model
from lmlab.build.kernel_choice import choose_kernels
from lmlab.nn.attention import naive_attention
from lmlab.nn.biased_attention import naive_biased_attention
from lmlab.nn.document_layout import Documents
from lmlab.nn.document_mask import document_mask, document_numbers
from lmlab.nn.kernel_set import KernelSet
from lmlab.nn.transformer import Transformer
from lmlab.runtime.device import resolve_device
from lmlab.training.objective import training_objective

END = 9
# Documents of 4, 1 and 3 tokens, their ends included, and one that goes on.
ROW = [3, 1, 4, END, END, 5, 2, END, 6, 5, 3, 5]
PARTS = (slice(0, 4), slice(4, 5), slice(5, 8), slice(8, 12))
# The same where the id stands before each document: the first has begun before the window.
PARTS_BEFORE = (slice(0, 3), slice(3, 4), slice(4, 7), slice(7, 12))

# Every attention with and without windows, and every position encoding of plain attention.
MODELS = attentions() + [
    model | {"pos": leaf("model/pos", pos), "num_layers": 2, "context_length": 12}
    for model, pos in zip(
        [one for one in attentions() if one["attention"].get("window") is None] * 2,
        ("alibi", "partial_rope", "learned", "nope"),
        strict=False,
    )
    if "kv_lora_rank" not in model["attention"]
]


def numbers_by_hand(row: list[int], is_before: bool) -> list[int]:
    found, number = [], 0
    for token in row:
        number += is_before and token == END
        found.append(number)
        number += not is_before and token == END
    return found


@pytest.mark.parametrize("is_before", [False, True])
def test_an_end_belongs_to_its_document(is_before: bool) -> None:
    tokens = torch.tensor([ROW, ROW[::-1], [END] * 12, [1] * 12])
    found = document_numbers(tokens, Documents(END, is_before))
    assert found.tolist() == [numbers_by_hand(row, is_before) for row in tokens.tolist()]


def test_a_query_sees_earlier_tokens_of_its_document_alone() -> None:
    mask = document_mask(torch.tensor([ROW]), Documents(END))[0]
    numbers = numbers_by_hand(ROW, False)
    for t in range(12):
        for s in range(12):
            assert bool(mask[t, s]) == (s <= t and numbers[s] == numbers[t])
    assert mask.any(-1).all()  # softmax over nothing would be NaN


def random_model(model: dict[str, Any], dtype: torch.dtype = torch.float64) -> Transformer:
    length = max(12, model["context_length"])
    if model["ffn"]["_target_"].endswith("MoE"):  # its router computes in float32 alone
        model = model | {"ffn": leaf("model/ffn", "swiglu")}
    network = build(model | {"context_length": length})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network.to(dtype).eval()


def losses(network: Transformer, tokens: list[int], first: int, with_positions: bool) -> Tensor:
    """The loss of each token given those before it, of a sequence alone."""
    positions = torch.arange(first, first + len(tokens))[None] if with_positions else None
    logits = network(torch.tensor([tokens]), positions)[0]
    targets = torch.tensor([(token * 7 + 1) % 200 for token in tokens])
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


@pytest.mark.parametrize("number", range(len(MODELS)))
def test_a_packed_window_is_its_documents_alone(number: int) -> None:
    is_before = number % 2 == 1  # each kind of attention has models of both
    network = random_model(MODELS[number])
    # Encodings that know distances alone need no positions: those of each document start at 0.
    absolute = MODELS[number]["pos"]["_target_"].endswith("LearnedPositions")
    parts = PARTS_BEFORE if is_before else PARTS
    alone = torch.cat(
        [losses(network, ROW[part], part.start, absolute) for part in parts if ROW[part]]
    )
    expected = torch.autograd.grad(alone.sum(), list(network.parameters()), allow_unused=True)
    network.documents = Documents(END, is_before)
    packed = losses(network, ROW, 0, False)
    torch.testing.assert_close(packed, alone, rtol=1e-6, atol=1e-6)
    found = torch.autograd.grad(packed.sum(), list(network.parameters()), allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    network.documents = None
    crossing = losses(network, ROW, 0, False)
    assert (crossing - alone)[5:].abs().max() > 1e-5


@pytest.mark.parametrize("number", range(0, len(MODELS), 5))
def test_nothing_reaches_another_document(number: int) -> None:
    network = random_model(MODELS[number], torch.float32)
    network.documents = Documents(END)
    tokens = torch.tensor([ROW])
    changed = tokens.clone()
    changed[0, 1] = 200
    before, after = network(tokens), network(changed)
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert not torch.equal(before[:, 2:4], after[:, 2:4])


def test_a_window_without_ends_is_attended_to_as_a_whole() -> None:
    network = model_of()
    tokens = torch.tensor([[token for token in range(20, 32)]])
    crossing = network(tokens)
    network.documents = Documents(END)
    torch.testing.assert_close(network(tokens), crossing, rtol=1e-5, atol=1e-5)


def test_a_mask_of_the_caller_holds_too() -> None:
    network = model_of()
    network.documents = Documents(END)
    tokens = torch.tensor([ROW])
    causal = torch.ones(1, 12, 12, dtype=torch.bool).tril()
    assert torch.equal(network(tokens, None, None, causal), network(tokens))
    narrow = causal & ~torch.ones(1, 12, 12, dtype=torch.bool).tril(-2)
    assert not torch.allclose(network(tokens, None, None, narrow), network(tokens))


@pytest.mark.parametrize("policy", ["exact", "fast", "bf16"])
def test_kernels_without_a_mask_are_not_used(policy: str, tmp_path: Any) -> None:
    device = resolve_device(device="cpu", policy=policy, compile=False, threads=1)
    network = model_of()
    network.documents = Documents(END)
    used = network.use(choose_kernels(device, 12, tmp_path))
    assert not used & {"causal_attention", "fused_qkv_attention"}
    reference = model_of()
    reference.documents = Documents(END)
    tokens, targets = torch.tensor([ROW]), torch.tensor([ROW[1:] + ROW[:1]])
    found, expected = (
        training_objective(one)(tokens, targets).language for one in (network, reference)
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("option", ["causal", "gated", "mla"])
def test_attention_takes_a_kernel_for_the_mask(option: str) -> None:
    # Stacked runs on CUDA replace torch's fused attention, whose gradients are wrong there.
    network = model_of(attention=leaf("model/attention", option))
    network.documents = Documents(END)
    expected = network(torch.tensor([ROW]))
    calls = []

    def counted(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        calls.append(q.shape)
        return naive_biased_attention(q, k, v, bias)

    kernels = KernelSet(causal_attention=lambda d_head: naive_attention, biased_attention=counted)
    assert network.use(kernels) == {"biased_attention"}
    torch.testing.assert_close(network(torch.tensor([ROW])), expected, rtol=1e-4, atol=1e-4)
    assert len(calls) == 3


@pytest.mark.long
def test_compiled_is_eager() -> None:
    network = model_of()
    network.documents = Documents(END)
    tokens = torch.tensor([ROW, ROW[::-1]])
    targets = tokens.roll(-1, 1)
    objective = training_objective(network)
    compiled = torch.compile(objective, dynamic=False, fullgraph=True)
    parameters = list(network.parameters())
    found, expected = (one(tokens, targets).language for one in (compiled, objective))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    gradients = (torch.autograd.grad(one, parameters) for one in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_flops_are_those_of_the_documents_alone() -> None:
    window = {"window": 2, "window_pattern": ["local", "global"]}
    for attention in ({}, window):
        parts = leaf("model/attention", "causal") | attention
        network = model_of(attention=parts)
        # Two windows of 12 tokens: parts of 12, and of 7, 4 and 1.
        network.documents = Documents(END, lengths=((1, 1), (4, 1), (7, 1), (12, 1)))
        packed = 24 * network.forward_flops_per_token()
        alone = 0
        for length in (1, 4, 7, 12):
            one = model_of(attention=parts)
            one.context_length = length
            alone += length * one.forward_flops_per_token()
        assert packed == pytest.approx(alone, abs=24)  # rounded per token
        network.documents = dataclasses.replace(network.documents, lengths=())
        known = network.forward_flops_per_token()
        network.documents = None
        assert known == network.forward_flops_per_token()
    assert np.isfinite(packed)


def test_every_layer_saves_its_mask() -> None:
    network = model_of()
    tokens = torch.tensor([ROW, ROW])

    def saved() -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            kept.append(tensor)
            return tensor

        kept: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(tokens).sum()
        return sum(sizes.values())

    crossing = saved()
    network.documents = Documents(END)
    masks = saved() - crossing
    counted = (
        sum(activation_bytes(count_model(SHAPE, windows), 2, ComputeSettings("fp32")).values())
        for windows in ("document", "cross")
    )
    assert masks == next(counted) - next(counted) == 3 * 2 * 12 * 12 * 4
