"""Which hand-written kernels a run uses, by policy, device and shape."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.fused_linear import fused_linears
from lmlab.nn.kernel_set import CausalAttention, FusedQKVAttention, HeadLoss, KernelSet
from lmlab.nn.kernels import cpp_attention, cpp_loss, fp32_attention
from lmlab.nn.loss_counts import chunk_rows
from lmlab.runtime import cpp_extension
from lmlab.runtime.device import Device


def choose_kernels(device: Device, context_length: int, library_folder: Path) -> KernelSet:
    """Choose the kernels of a run.

    The policy ``exact`` always uses torch's operations. Of the other policies, compiled runs use
    Triton on a GPU under bf16 and C++ on a CPU that supports it; all other runs on a CPU use
    float32 attention, and all compute the loss in chunks. Compiled runs fuse linear maps of one
    input; in eager mode, the parts of a joint product would keep each other in memory.

    Args:
        device: where the run computes, and how.
        context_length: longest sequence in tokens.
        library_folder: folder of compiled libraries.
    """
    linears = fused_linears if device.compile else None
    if device.policy.is_exact:
        return KernelSet(apply_linears=linears)
    chunked = KernelSet(apply_linears=linears, head_loss=_chunked_loss)
    if device.device.type == "cuda" and device.compile and device.policy.precision == "bf16":
        return _triton(context_length)
    if device.device.type != "cpu":
        return chunked
    if device.compile and cpp_extension.is_supported():
        return KernelSet(
            "C++",
            causal_attention=functools.partial(_cpp_attention, folder=library_folder),
            apply_linears=linears,
            head_loss=functools.partial(_cpp_loss, folder=library_folder),
        )
    return KernelSet(
        "float32 attention",
        causal_attention=lambda d_head: fp32_attention.causal_attention,
        apply_linears=linears,
        head_loss=_chunked_loss,
    )


# What a run loses where no part of the model takes a kernel, in words.
_KERNELS = {
    "causal_attention": "attention", "fused_qkv_attention": "attention", "silu_and_mul": "the gate",
    "apply_linears": "joint linear maps", "head_loss": "the loss",
}  # fmt: skip


def describe_kernels(kernels: KernelSet, used: frozenset[str]) -> str:
    """Say in a line what a model computes with kernels, and what it could but does not.

    Args:
        kernels: that the run offers.
        used: those that parts of the model took; see
            :meth:`lmlab.nn.transformer.Transformer.use`.
    """
    offered = [key for key in _KERNELS if getattr(kernels, key) is not None]
    taken = _in_words(key for key in offered if key in used)
    refused = _in_words(key for key in offered if key not in used)
    refused -= taken
    text = f"kernels: {kernels.name} for {', '.join(sorted(taken))}" if taken else "kernels: torch"
    if refused:
        text += f"; parts of this model compute without them: {', '.join(sorted(refused))}"
    return text


def _in_words(keys: Iterable[str]) -> set[str]:
    return {_KERNELS[key] for key in keys}


def _chunked_loss(vocab_size: int, device_type: str) -> HeadLoss:
    return functools.partial(chunked_cross_entropy, rows=chunk_rows(vocab_size, device_type))


def _cpp_attention(d_head: int, folder: Path) -> CausalAttention:
    """Return attention compiled from C++. Raises :class:`ConfigError` if it does not compile."""
    cpp_attention.load_kernel(d_head, folder)
    return cpp_attention.causal_attention


def _cpp_loss(vocab_size: int, device_type: str, folder: Path) -> HeadLoss:
    """Return the loss with gradients computed in place of the logits, compiled from C++."""
    cpp_loss.load_kernel(folder)
    return cpp_loss.chunked_cross_entropy


def _triton(context_length: int) -> KernelSet:
    from lmlab.nn.kernels import triton_attention, triton_gate, triton_loss

    def attention(d_head: int) -> FusedQKVAttention | None:
        is_supported = triton_attention.supports(d_head, context_length)
        return triton_attention.fused_qkv_attention if is_supported else None

    def loss(vocab_size: int, device_type: str) -> HeadLoss:
        if vocab_size > triton_loss.MAX_VOCABULARY:
            return _chunked_loss(vocab_size, device_type)
        return triton_loss.chunked_cross_entropy

    return KernelSet(
        "Triton",
        fused_qkv_attention=attention,
        silu_and_mul=triton_gate.silu_and_mul,
        apply_linears=fused_linears,
        head_loss=loss,
    )
