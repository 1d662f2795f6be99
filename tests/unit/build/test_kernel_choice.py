"""The kernels of a run by policy, device and shape, and what they replace in the model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from lmlab.build.factory import build_gradients
from lmlab.build.kernel_choice import (
    CppKernels,
    Fp32Attention,
    TorchKernels,
    TritonKernels,
    choose_kernels,
)
from lmlab.build.network import build_network
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.attention import CausalSelfAttention, causal_attention
from lmlab.nn.ffn import SwiGLU
from lmlab.nn.kernels import cpp_attention, cpp_loss, fp32_attention
from lmlab.nn.transformer import Transformer
from lmlab.runtime import cpp_extension
from lmlab.runtime.device import Device
from lmlab.runtime.precision import PrecisionPolicy

needs_compiler = pytest.mark.skipif(
    cpp_extension.find_compiler() is None or not cpp_extension.is_supported(),
    reason="there is no C++ compiler with OpenMP",
)
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)


def device(kind: str, policy: str, compile: bool) -> Device:
    return Device(torch.device(kind), PrecisionPolicy(policy), compile=compile, threads=1)


def model(*overrides: str) -> Transformer:
    return build_network(compose(["scale=smoke", *overrides]).model)


def attentions(model: Transformer) -> list[CausalSelfAttention]:
    return [part for part in model.modules() if isinstance(part, CausalSelfAttention)]


@pytest.mark.parametrize(
    ("kind", "policy", "compile", "expected"),
    [
        ("cpu", "exact", True, TorchKernels),
        ("cpu", "exact", False, TorchKernels),
        ("cpu", "fast", False, Fp32Attention),
        ("cpu", "bf16", False, Fp32Attention),
        ("cpu", "fast", True, CppKernels),
        ("cpu", "bf16", True, CppKernels),
        ("cuda", "exact", True, TorchKernels),
        ("cuda", "fast", True, TorchKernels),
        ("cuda", "bf16", False, TorchKernels),
        ("cuda", "bf16", True, TritonKernels),
        ("mps", "fast", True, TorchKernels),
        ("mps", "exact", False, TorchKernels),
    ],
)
def test_policy_device_and_compilation_choose_the_kernels(
    kind: str, policy: str, compile: bool, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpp_extension, "is_supported", lambda: True)
    kernels = choose_kernels(device(kind, policy, compile), 1000, Path("unused"))
    assert type(kernels) is expected


def test_a_cpu_without_support_for_the_cpp_kernels_uses_float32_attention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpp_extension, "is_supported", lambda: False)
    kernels = choose_kernels(device("cpu", "fast", compile=True), 1000, Path("unused"))
    assert type(kernels) is Fp32Attention


@pytest.mark.parametrize(
    ("kernels", "attention"),
    [
        (TorchKernels(), causal_attention),
        (Fp32Attention(), fp32_attention.causal_attention),
        pytest.param(None, cpp_attention.causal_attention, marks=needs_compiler, id="cpp"),
    ],
)
def test_installing_replaces_the_attention_of_every_layer(
    kernels: TorchKernels | Fp32Attention | None, attention: object, tmp_path: Path
) -> None:
    network = model()
    (kernels or CppKernels(tmp_path)).install(network)
    layers = attentions(network)
    assert layers and all(layer.causal_attention is attention for layer in layers)


@needs_compiler
def test_only_compiled_kernels_fuse_head_and_loss(tmp_path: Path) -> None:
    assert TorchKernels().head_loss() is None
    assert Fp32Attention().head_loss() is None
    assert CppKernels(tmp_path).head_loss() is cpp_loss.chunked_cross_entropy


@needs_triton
def test_triton_computes_the_shapes_that_it_supports() -> None:
    from lmlab.nn.kernels import triton_gate, triton_loss

    sizes = ["model.d_model=64", "model.num_heads=2"]
    short = model(*sizes, "model.context_length=256")
    long = model(*sizes, "model.context_length=257")
    for network in (short, long):
        TritonKernels(1000).install(network)
        gates = [part for part in network.modules() if isinstance(part, SwiGLU)]
        assert gates and all(gate.silu_and_mul is triton_gate.silu_and_mul for gate in gates)
    assert all(layer.fused_qkv_attention is not None for layer in attentions(short))
    assert all(layer.fused_qkv_attention is None for layer in attentions(long))
    largest = triton_loss.MAX_VOCABULARY
    assert TritonKernels(largest).head_loss() is triton_loss.chunked_cross_entropy
    assert TritonKernels(largest + 1).head_loss() is None


@needs_compiler
@pytest.mark.parametrize("policy", ["fast", "bf16"])
def test_a_compiled_run_on_a_cpu_computes_with_the_cpp_kernels(policy: str, tmp_path: Path) -> None:
    config = compose(["scale=smoke", f"output_root={tmp_path}"])
    network = build_network(config.model)
    gradients = build_gradients(resolve(config), network, device("cpu", policy, compile=True))
    computing = network if policy == "fast" else gradients.bf16_weights.model  # type: ignore[union-attr]
    layers = attentions(computing)
    assert layers
    assert all(layer.causal_attention is cpp_attention.causal_attention for layer in layers)
