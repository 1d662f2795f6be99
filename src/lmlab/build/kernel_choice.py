"""Which hand-written kernels a run uses, by policy, device and shape."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lmlab.nn.kernels import cpp_attention, cpp_loss, fp32_attention
from lmlab.nn.transformer import Transformer
from lmlab.runtime import cpp_extension
from lmlab.runtime.device import Device
from lmlab.training.objective import HeadLoss


class Kernels(Protocol):
    """A set of kernels for the model and the training loss."""

    def install(self, model: Transformer) -> None:
        """Make the layers of ``model`` compute with these kernels."""
        ...

    def head_loss(self) -> HeadLoss | None:
        """Return the fused output head and loss, or None for torch's operations."""
        ...


def choose_kernels(device: Device, vocab_size: int, library_folder: Path) -> Kernels:
    """Choose the kernels of a run.

    The policy ``exact`` always uses torch's operations. Of the other policies, compiled runs use
    Triton on a GPU under bf16 and C++ on a CPU that supports it; all other runs on a CPU use
    float32 attention.

    Args:
        device: where the run computes, and how.
        vocab_size: V.
        library_folder: folder of compiled libraries.
    """
    if device.policy.is_exact:
        return TorchKernels()
    if device.device.type == "cuda":
        uses_triton = device.compile and device.policy.precision == "bf16"
        return TritonKernels(vocab_size) if uses_triton else TorchKernels()
    if device.device.type == "cpu":
        uses_cpp = device.compile and cpp_extension.is_supported()
        return CppKernels(library_folder) if uses_cpp else Fp32Attention()
    return TorchKernels()


class TorchKernels:
    """Torch's own operations everywhere."""

    def install(self, model: Transformer) -> None:
        """Leave ``model`` unchanged."""

    def head_loss(self) -> HeadLoss | None:
        """Return None: torch's operations compute the loss."""
        return None


class Fp32Attention:
    """Attention by plain float32 products on a CPU, torch's operations elsewhere."""

    def install(self, model: Transformer) -> None:
        """Replace the attention of ``model``."""
        model.use_causal_attention(fp32_attention.causal_attention)

    def head_loss(self) -> HeadLoss | None:
        """Return None: torch's operations compute the loss."""
        return None


class CppKernels:
    """Attention and loss compiled from C++ for this CPU.

    Args:
        folder: folder of compiled libraries.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, model: Transformer) -> None:
        """Replace the attention of ``model``.

        Raises:
            ConfigError: the compiler rejects the source.
        """
        cpp_attention.load_kernel(model.d_head, self.folder)
        model.use_causal_attention(cpp_attention.causal_attention)

    def head_loss(self) -> HeadLoss | None:
        """Return the loss with gradients computed in place of the logits.

        Raises:
            ConfigError: the compiler rejects the source.
        """
        cpp_loss.load_kernel(self.folder)
        return cpp_loss.chunked_cross_entropy


class TritonKernels:
    """Attention, SwiGLU's gate and the loss in Triton on a GPU, for the shapes they support.

    Args:
        vocab_size: V; torch's operations compute the loss of larger vocabularies than
            :data:`lmlab.nn.kernels.triton_loss.MAX_VOCABULARY`.
    """

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def install(self, model: Transformer) -> None:
        """Replace the gate of ``model``, and its attention for supported heads and contexts."""
        from lmlab.nn.kernels import triton_attention, triton_gate

        model.use_silu_and_mul(triton_gate.silu_and_mul)
        if triton_attention.supports(model.d_head, model.context_length):
            model.use_fused_qkv_attention(triton_attention.fused_qkv_attention)

    def head_loss(self) -> HeadLoss | None:
        """Return the loss with gradients computed in place of the logits, for small enough V."""
        from lmlab.nn.kernels import triton_loss

        if self.vocab_size > triton_loss.MAX_VOCABULARY:
            return None
        return triton_loss.chunked_cross_entropy
