"""Which hand-written kernels a run uses, by policy, device and shape."""

from __future__ import annotations

from pathlib import Path

from lmlab.config.run_config import RunConfig
from lmlab.nn.kernels import cpp_attention, cpp_loss, fp32_attention
from lmlab.nn.transformer import Transformer
from lmlab.runtime import cpp_extension
from lmlab.runtime.device import Device
from lmlab.training.objective import HeadLoss


def use_kernels(config: RunConfig, model: Transformer, device: Device) -> None:
    """Let a model's parts compute as the policy does on this device."""
    kernels = _own_kernels(device)
    if kernels == "triton":
        from lmlab.nn.kernels import triton_attention, triton_gate

        model.gate_jointly(triton_gate.joint_gate)
        if triton_attention.fits(model.d_head, model.context_length):
            model.attend_jointly(triton_attention.joint_attention)
    elif kernels == "native":
        cpp_attention.prepare(model.d_head, _kernel_folder(config))
        model.attend_by(cpp_attention.causal_attention)
    elif device.device.type == "cpu" and not device.policy.is_exact:
        model.attend_by(fp32_attention.causal_attention)


def loss_kernel(config: RunConfig, device: Device) -> HeadLoss | None:
    """Choose the fused head and loss of this run; None where torch's operations compute them."""
    kernels = _own_kernels(device)
    if kernels == "triton":
        from lmlab.nn.kernels import triton_loss

        fits = config.model.vocab_size <= triton_loss.LARGEST_VOCABULARY
        return triton_loss.chunked_cross_entropy if fits else None
    if kernels == "native":
        cpp_loss.prepare(_kernel_folder(config))
        return cpp_loss.chunked_cross_entropy
    return None


def _own_kernels(device: Device) -> str | None:
    """Which kernels of our own a run uses: ``native`` ones, ``triton``'s, or None."""
    if not device.compile or device.policy.is_exact:
        return None
    if device.device.type == "cuda" and device.policy.precision == "bf16":
        return "triton"  # which compiles the rest of the step, too
    return "native" if device.device.type == "cpu" and cpp_extension.is_supported() else None


def _kernel_folder(config: RunConfig) -> Path:
    return config.cache_folder / "kernels"
