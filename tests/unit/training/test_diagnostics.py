"""Norms per layer agree with a forward and backward pass written out here."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from lmlab.build.factory import build_diagnostics, build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.nn.transformer import Transformer
from lmlab.runs.auto_settings import choose_device
from lmlab.runtime.random_streams import RandomStreams, host_positions
from lmlab.training.diagnostics import Diagnostics, layer_of

CPU = torch.device("cpu")


def small_model(*overrides: str) -> Transformer:
    sizes = ["model.vocab_size=280", "model.context_length=8", "model.d_model=16",
             "model.num_layers=3", "model.num_heads=2", "model.d_ff=24"]  # fmt: skip
    return build_model(resolve(compose([*sizes, *overrides])))


def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.randint(280, (4, 9), generator=torch.Generator().manual_seed(3))
    return drawn[:, :-1], drawn[:, 1:]


def leave_gradients(model: Transformer) -> None:
    inputs, targets = tokens()
    F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()


def measure(model: Transformer, pass_size: int = 4) -> dict[str, float]:
    diagnostics = Diagnostics(every=1, pass_size=pass_size)
    return diagnostics.measure(model, tokens()[0], RandomStreams(0, CPU), 1)


@pytest.mark.parametrize("pass_size", [4, 1])
def test_activations_are_those_of_the_residual_stream(pass_size: int) -> None:
    model = small_model("model.pos=learned").double()
    leave_gradients(model)
    found = measure(model, pass_size)
    stream = model.embedding(tokens()[0]) + model.pos.weight[:8]  # type: ignore[union-attr]
    expected = {"embedding": stream}
    for index, block in enumerate(model.blocks):
        stream = block(stream, None, None, None)
        expected[f"block_{index}"] = stream
    for name, x in expected.items():
        rms = math.sqrt(sum(v * v for v in x.flatten().tolist()) / x.numel())
        assert found[f"activation_rms/{name}"] == pytest.approx(rms, rel=1e-5)
    assert len(expected) == sum(key.startswith("activation_rms/") for key in found)


@pytest.mark.parametrize("tied", [False, True])
def test_norms_of_gradients_and_weights_per_layer(tied: bool) -> None:
    model = small_model(f"model.tie_embeddings={tied}")
    leave_gradients(model)
    found = measure(model)
    parts = {"embedding": model.embedding, "final_norm": model.final_norm}
    parts |= {f"block_{index}": block for index, block in enumerate(model.blocks)}
    parts |= {} if tied else {"head": model.head}
    for name, part in parts.items():
        for kind in ("grad", "weight"):
            values = [p.grad if kind == "grad" else p.detach() for p in part.parameters()]
            norm = math.sqrt(sum(float(one.double().square().sum()) for one in values))
            assert found[f"{kind}_norm/{name}"] == pytest.approx(norm, rel=1e-5)
    keys = {f"{kind}_norm/{name}" for name in parts for kind in ("grad", "weight")}
    assert keys == {key for key in found if "_norm/" in key}
    total = math.hypot(*(found[f"grad_norm/{name}"] for name in parts))
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert total == pytest.approx(float(torch.nn.utils.get_total_norm(gradients)), rel=1e-5)


def test_measuring_changes_nothing() -> None:
    model = small_model("model.dropout=0.5")
    leave_gradients(model)
    gradients = [parameter.grad.clone() for parameter in model.parameters()]  # type: ignore[union-attr]
    before = host_positions()
    first = measure(model)
    assert host_positions() == before
    assert measure(model) == first, "without dropout"
    assert all(module.training for module in model.modules())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)  # type: ignore[arg-type]
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in model.blocks)


def test_layers_have_names_without_depth() -> None:
    names = {layer_of(name) for name, _ in small_model("model.pos=learned").named_parameters()}
    assert names == {"embedding", "pos", "block_0", "block_1", "block_2", "final_norm", "head"}


@pytest.mark.parametrize(("value", "every"), [("null", None), ("0", None), ("7", 7)])
def test_zero_and_null_are_none(value: str, every: int | None) -> None:
    spec = resolve(compose([f"training.diagnose_every={value}", "runtime.device=cpu"]))
    built = build_diagnostics(spec.workload, choose_device(spec))
    assert (built and built.every) == every


def test_a_negative_interval_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.diagnose_every=-1: expected 1 or more"):
        compose(["training.diagnose_every=-1"])
