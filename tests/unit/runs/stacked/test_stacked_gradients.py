"""The gradients of a stack equal those of its models, for all parts."""

from __future__ import annotations

import pytest
import torch
from part_choices import ATTENTIONS

from lmlab.build.instantiate import instantiate
from lmlab.build.network import build_network
from lmlab.config.compose import compose
from lmlab.nn.transformer import Transformer
from lmlab.runs.stacked.stacked_gradients import StackedGradients
from lmlab.runs.stacked.stacked_parameters import StackedParameters
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import training_objective

SIZE, B, T = 3, 4, 16
pytestmark = pytest.mark.filterwarnings("ignore:.*batching rule")


def models(overrides: list[str]) -> list[Transformer]:
    config = compose(overrides)
    found = []
    for seed in range(SIZE):
        network = build_network(config.model)
        instantiate(config.model.init)(network, seed=seed)
        found.append(network)
    return found


def stack_of(
    networks: list[Transformer], micro_batch_size: int = B, **how: torch.dtype
) -> StackedGradients:
    template = networks[0]
    parameters = StackedParameters(template, SIZE, torch.device("cpu"))
    for place, network in enumerate(networks):
        parameters.adopt(place, network)
    return StackedGradients(template, parameters, micro_batch_size=micro_batch_size, **how)


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randint(0, 280, (2, SIZE, B, T), generator=generator)
    return inputs, targets


PARTS = [
    ["model.norm=rms", "model.pos=rope", "model.ffn=swiglu", "model.tie_embeddings=true"],
    ["model.norm=post", "model.pos=learned", "model.ffn=gelu"],
    ["model.norm=layernorm", "model.pos=nope", "model.attention.qk_norm=true"],
    ["model.norm=none", "model.ffn=relu2", "model.attention.num_kv_heads=1"],
    ["model.norm=sandwich", "model.pos=alibi", "model.ffn=geglu"],
    ["model.norm=dyt", "model.pos=partial_rope", "model.ffn=reglu"],
    ["model.norm=rms_nogain", "model.pos=alibi", "model.attention.num_kv_heads=1"],
    ["model.param=completep", "model.param.base_d_model=8", "model.param.base_d_head=4",
     "model.param.base_num_layers=1"],
    *ATTENTIONS,
    ["model.embedding=value", "model.embedding.num_tables=1", "model.residual=x0",
     "model.head=zloss", "model.head.coefficient=0.1"],
    ["model.head=softcap", "model.head.cap=3"],
]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "micro_batch_size"),
    [(parts, (B, 2)[row % 2]) for row, parts in enumerate(PARTS)] + [(PARTS[0], 2)],
)
def test_each_model_gets_the_gradients_it_would_get_alone(
    overrides: list[str], parts: list[str], micro_batch_size: int
) -> None:
    inputs, targets = batches()
    alone, stacked = models([*overrides, *parts]), models([*overrides, *parts])
    gradients = stack_of(stacked, micro_batch_size)
    losses = gradients(inputs, targets)
    for place, (one, other) in enumerate(zip(alone, stacked, strict=True)):
        loss = GradientAccumulator(training_objective(one), micro_batch_size=micro_batch_size)(
            inputs[place], targets[place]
        )
        gradients.parameters.assign_gradients(place)
        assert float(losses["loss"][place]) == pytest.approx(float(loss["loss"]), abs=1e-5)
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        for expected, found in pairs:
            assert expected.grad is not None and found.grad is not None
            torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_bf16_rounds_the_same_matrices_as_for_a_single_model(
    overrides: list[str], tied: bool
) -> None:
    inputs, targets = batches()
    settings = [*overrides, f"model.tie_embeddings={tied}"]
    alone, stacked = models(settings), models(settings)
    gradients = stack_of(stacked, products=torch.bfloat16)
    losses = gradients(inputs, targets)
    exact = stack_of(models(settings))(inputs, targets)
    assert not torch.equal(losses["loss"], exact["loss"]), "it must have rounded"
    for place, (one, other) in enumerate(zip(alone, stacked, strict=True)):
        working = Bf16Weights(one)
        compute = GradientAccumulator(
            training_objective(working.model), micro_batch_size=B, bf16_weights=working
        )
        loss = compute(inputs[place], targets[place])
        gradients.parameters.assign_gradients(place)
        assert float(losses["loss"][place]) == pytest.approx(float(loss["loss"]), abs=2e-3)
        for (name, expected), found in zip(one.named_parameters(), other.parameters(), strict=True):
            assert expected.grad is not None and found.grad is not None
            assert found.grad.dtype == torch.float32
            # bfloat16 keeps 8 bits: sums in another order differ by about 2^-8.
            apart = (found.grad - expected.grad).norm() / expected.grad.norm()
            assert apart < 0.02, (name, apart)


def test_a_nan_stays_in_its_model(overrides: list[str]) -> None:
    inputs, targets = batches()
    clean, spoiled = stack_of(models(overrides)), stack_of(models(overrides))
    with torch.no_grad():
        for stacked in spoiled.parameters.tensors.values():
            stacked[1] = float("nan")
    expected, found = clean(inputs, targets)["loss"], spoiled(inputs, targets)["loss"]
    assert torch.equal(expected[[0, 2]], found[[0, 2]])
    assert torch.isnan(found[1])
    for name, stacked in clean.parameters.tensors.items():
        other = spoiled.parameters.tensors[name]
        assert stacked.grad is not None and other.grad is not None
        assert torch.equal(stacked.grad[[0, 2]], other.grad[[0, 2]]), name


def test_adopted_weights_keep_their_values_and_share_memory_with_the_stack(
    overrides: list[str],
) -> None:
    (before, *_), (network, *others) = models(overrides), models(overrides)
    parameters = stack_of([network, *others]).parameters
    for (name, own), expected in zip(network.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(own, expected)
        assert own.untyped_storage().nbytes() == own.nbytes, "a file of it holds it alone"
        with torch.no_grad():
            own.add_(1)
        assert torch.equal(parameters.tensors[name][0], own)
