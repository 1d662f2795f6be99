"""The kernels of a run by policy, device and shape, and what they replace in the model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from part_choices import ATTENTIONS

from lmlab.build.factory import build_gradients
from lmlab.build.kernel_choice import choose_kernels, describe_kernels
from lmlab.build.network import build_network
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.attention import CausalSelfAttention, causal_attention
from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.ffn import SwiGLU
from lmlab.nn.head import LinearHead
from lmlab.nn.kernel_set import KernelSet
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


def triton(model: Transformer) -> KernelSet:
    return choose_kernels(
        device("cuda", "bf16", compile=True), model.context_length, Path("unused")
    )


def attentions(model: Transformer) -> list[CausalSelfAttention]:
    return [part for part in model.modules() if isinstance(part, CausalSelfAttention)]


@pytest.mark.parametrize(
    ("kind", "policy", "compile", "expected"),
    [
        ("cpu", "exact", True, "torch"),
        ("cpu", "exact", False, "torch"),
        ("cpu", "fast", False, "float32 attention"),
        ("cpu", "bf16", False, "float32 attention"),
        ("cpu", "fast", True, "C++"),
        ("cpu", "bf16", True, "C++"),
        ("cuda", "exact", True, "torch"),
        ("cuda", "fast", True, "torch"),
        ("cuda", "bf16", False, "torch"),
        ("cuda", "bf16", True, "Triton"),
        ("mps", "fast", True, "torch"),
        ("mps", "exact", False, "torch"),
    ],
)
def test_policy_device_and_compilation_choose_the_kernels(
    kind: str, policy: str, compile: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpp_extension, "is_supported", lambda: True)
    if expected == "Triton":
        pytest.importorskip("triton")
    kernels = choose_kernels(device(kind, policy, compile), 64, Path("unused"))
    assert kernels.name == expected
    assert (kernels.head_loss is None) == (policy == "exact"), "exact computes all logits"
    assert (kernels.apply_linears is None) == (not compile)


def test_a_cpu_without_support_for_the_cpp_kernels_uses_float32_attention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpp_extension, "is_supported", lambda: False)
    kernels = choose_kernels(device("cpu", "fast", compile=True), 64, Path("unused"))
    assert kernels.name == "float32 attention"


@pytest.mark.parametrize(
    ("policy", "compile", "attention", "loss"),
    [
        ("exact", False, causal_attention, None),
        ("fast", False, fp32_attention.causal_attention, chunked_cross_entropy),
        pytest.param(
            "fast", True, cpp_attention.causal_attention, cpp_loss.chunked_cross_entropy,
            marks=needs_compiler, id="cpp",
        ),
    ],
)  # fmt: skip
def test_every_layer_and_the_head_take_the_kernels(
    policy: str, compile: bool, attention: object, loss: object, tmp_path: Path
) -> None:
    network = model()
    kernels = choose_kernels(device("cpu", policy, compile), network.context_length, tmp_path)
    used = network.use(kernels)
    layers = attentions(network)
    assert layers and all(layer.causal_attention is attention for layer in layers)
    found = network.head.head_loss
    assert getattr(found, "func", found) is loss
    assert "without" not in describe_kernels(kernels, used)


def test_what_a_model_computes_without_kernels_is_said() -> None:
    class OtherHead(LinearHead):
        is_plain = False

    network = model()
    network.head = OtherHead(d_model=network.head.in_features, vocab_size=network.vocab_size)
    kernels = choose_kernels(device("cpu", "fast", compile=False), 64, Path("unused"))
    line = describe_kernels(kernels, network.use(kernels))
    assert line == (
        "kernels: float32 attention for attention; parts of this model compute without them: "
        "the loss"
    )
    assert network.head.head_loss is None


def test_attention_takes_the_kernels_that_its_position_encoding_allows() -> None:
    def fused(*parts: object) -> torch.Tensor:
        raise AssertionError

    kernels = KernelSet(
        causal_attention=lambda d_head: fp32_attention.causal_attention,
        fused_qkv_attention=lambda d_head: fused,
    )
    both = {"causal_attention", "fused_qkv_attention"}
    allowed = {"rope": both, "alibi": set(), "partial_rope": {"causal_attention"}}
    for pos, names in allowed.items():
        assert model(f"model.pos={pos}").use(kernels) == names, pos


@needs_triton
def test_triton_computes_the_shapes_that_it_supports() -> None:
    from lmlab.nn.kernels import triton_gate, triton_loss

    sizes = ["model.d_model=64", "model.num_heads=2"]
    short = model(*sizes, "model.context_length=256")
    long = model(*sizes, "model.context_length=257")
    for network in (short, long):
        network.use(triton(network))
        gates = [part for part in network.modules() if isinstance(part, SwiGLU)]
        assert gates and all(gate.silu_and_mul is triton_gate.silu_and_mul for gate in gates)
    assert all(layer.fused_qkv_attention is not None for layer in attentions(short))
    assert all(layer.fused_qkv_attention is None for layer in attentions(long))
    largest = triton_loss.MAX_VOCABULARY
    losses = triton(short).head_loss
    assert losses is not None
    assert losses(largest, "cuda") is triton_loss.chunked_cross_entropy
    assert getattr(losses(largest + 1, "cuda"), "func", None) is chunked_cross_entropy


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


@pytest.mark.long
@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize("choice", ATTENTIONS, ids=",".join)
def test_other_attention_computes_the_same_with_the_kernels_of_a_run(
    choice: list[str], compile: bool, tmp_path: Path
) -> None:
    net = model(*choice, "model.context_length=12", "model.d_model=32", "model.num_heads=4")
    tokens = torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(0))
    expected = net(tokens)
    taken = net.use(choose_kernels(device("cpu", "fast", compile), 12, tmp_path))
    assert "causal_attention" in taken  # of a layer without a window
    found = net(tokens)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    if compile:
        torch.compiler.reset()  # other models count towards the limit of recompilations
        compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(tokens), expected, rtol=1e-4, atol=1e-5)
