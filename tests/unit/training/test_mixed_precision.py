from __future__ import annotations

from pathlib import Path

import own_parts
import pytest
import torch
from torch import nn

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.transformer import Transformer
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import training_objective


def tiny(*more: str) -> Transformer:
    sizes = ["model.vocab_size=300", "model.context_length=16", "model.d_model=32",
             "model.num_layers=2", "model.num_heads=2"]  # fmt: skip
    return factory.build_model(resolve(compose([*sizes, *more])))


@pytest.mark.parametrize("tied", ["false", "true"])
def test_matrices_are_copies_and_everything_else_is_shared(tied: str) -> None:
    model = tiny(f"model.tie_embeddings={tied}")
    copy = Bf16Weights(model).model
    linear = {
        f"{name}.weight" for name, part in copy.named_modules() if isinstance(part, nn.Linear)
    }
    masters = dict(model.named_parameters(remove_duplicate=False))
    for name, weight in copy.named_parameters(remove_duplicate=False):
        if name in linear:
            assert weight.dtype == torch.bfloat16
            assert torch.equal(weight, masters[name].bfloat16())
        else:
            assert weight is masters[name]
    assert copy.pos.cos_SK is model.pos.cos_SK  # type: ignore[attr-defined]


@pytest.mark.parametrize("tied", ["false", "true"])
def test_gradients_reach_the_float32_weights_in_every_micro_batch(tied: str) -> None:
    model = tiny(f"model.tie_embeddings={tied}")
    tokens = torch.randint(0, 300, (4, 17), generator=torch.Generator().manual_seed(0))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    GradientAccumulator(training_objective(model), micro_batch_size=4)(inputs, targets)
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    for size in (4, 2):
        model.zero_grad(set_to_none=True)
        weights = Bf16Weights(model)
        GradientAccumulator(
            training_objective(weights.model), micro_batch_size=size, bf16_weights=weights
        )(inputs, targets)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.dtype == torch.float32, name
            error = (parameter.grad - expected[name]).norm() / expected[name].norm()
            # bfloat16 has 8 bits; losing or doubling a gradient is an error of a half or more.
            assert error < 0.05, name


def test_updated_weights_are_used_in_the_next_pass() -> None:
    model = tiny()
    weights = Bf16Weights(model)
    with torch.no_grad():
        model.head.weight.zero_()
    tokens = torch.zeros(1, 4, dtype=torch.long)
    gradients = GradientAccumulator(
        training_objective(weights.model), micro_batch_size=1, bf16_weights=weights
    )
    assert gradients(tokens, tokens)["loss"].item() == pytest.approx(
        torch.log(torch.tensor(300.0)).item()
    )


def test_linear_layers_of_a_user_may_have_biases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_parts.trust(tmp_path, monkeypatch)
    model = tiny("model.ffn={_target_: own_parts.Width}", "model.d_ff=48")
    tokens = torch.randint(0, 300, (4, 17), generator=torch.Generator().manual_seed(0))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    GradientAccumulator(training_objective(model), micro_batch_size=4)(inputs, targets)
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    weights = Bf16Weights(model)
    GradientAccumulator(
        training_objective(weights.model), micro_batch_size=2, bf16_weights=weights
    )(inputs, targets)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert parameter.grad is not None and parameter.grad.dtype == torch.float32
            error = (parameter.grad - expected[name]).norm() / expected[name].norm()
            # ReLU also passes or stops other gradients where an input is near zero.
            assert error < 0.1, name
