"""The whole account of one configuration, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.accounting.disk import run_folder_bytes
from lmlab.accounting.memory import (
    FLOAT32,
    ComputeSettings,
    activation_bytes,
    estimate_memory,
    largest_batch,
    textbook_activation_values,
)
from lmlab.accounting.model_counts import GROUPS, ModelCounts, count_model, count_optimizer
from lmlab.accounting.textbook import EXPRESSION, Textbook
from lmlab.nn.loss_counts import chunk_rows


@dataclasses.dataclass(frozen=True)
class CostOptions:
    """What is asked beside the configuration.

    Attributes:
        memory: bytes into which a batch shall fit; None to leave that out.
        peak: FLOP/s of the device; None to leave time out.
        mfu: share of the peak that is reached.
        fused_attention: whether scores are never written out.
        loss_chunk: tokens whose logits exist at a time.
        checkpointing: compute blocks again in the backward pass.
    """

    memory: int | None = None
    peak: float | None = None
    mfu: float = 0.5
    fused_attention: bool = True
    loss_chunk: int | None = None
    checkpointing: bool = False


def cost_report(config: Mapping[str, Any], question: CostOptions, device: str) -> dict[str, Any]:
    """Count a configuration.

    Args:
        config: resolved, as plain values.
        question: what is asked.
        device: ``cpu``, ``cuda`` or ``mps``, on which it is to run.

    Returns:
        Parameters, FLOPs, memory, disk, and what ``question`` asks for, ready for JSON.

    Raises:
        UnknownCostError: a variant has no counts.
    """
    model = count_model(config["model"])
    return {
        "sizes": {
            "vocab_size": model.vocab_size, "context_length": model.context,
            "num_layers": model.num_layers, "d_model": model.d_model,
            "num_heads": model.num_heads, "d_ff": model.d_ff,
        },
        "parameters": _parameters(model),
        "flops": _flops(model),
        "memory": _memory(config, model, question, device),
        "disk": _disk(config, model),
        "time": _time(config, model, question),
        "textbook": _textbook(model, question),
    }  # fmt: skip


def _parameters(model: ModelCounts) -> dict[str, Any]:
    return {
        "total": model.parameters,
        "bytes": FLOAT32 * model.parameters,
        "components": {c.name: c.parameters for c in model.components if c.parameters},
    }


def _flops(model: ModelCounts) -> dict[str, Any]:
    """Of one sequence."""
    components = {}
    whole = model.forward_flops()
    for component in model.components:
        counted = component.forward_flops(model.context)
        if counted:
            components[component.name] = {
                "counted": counted,
                "causal": component.forward_flops(model.context, causal=True),
                "share": counted / whole,
            }
    return {
        "forward": whole,
        "forward_causal": model.forward_flops(causal=True),
        "training": model.training_flops(),
        "training_causal": model.training_flops(causal=True),
        "components": components,
        "shares": {group: model.share(group) for group in GROUPS if model.share(group)},
    }


AUTO_POLICY = {"cuda": "bf16", "cpu": "fast", "mps": "exact"}


def compute_settings(
    config: Mapping[str, Any], device: str, question: CostOptions, policy: str | None = None
) -> ComputeSettings:
    """How the configured run computes on ``device``; by ``policy``, where that was resolved."""
    policy = policy or config["runtime"]["policy"]
    if policy == "auto":
        policy = AUTO_POLICY[device]
    chunk = question.loss_chunk
    if chunk is None and policy != "exact":
        chunk = chunk_rows(config["model"]["vocab_size"], device)
    return ComputeSettings(
        precision="bf16" if policy == "bf16" else "fp32", device=device,
        fused_attention=question.fused_attention, loss_chunk=chunk,
        checkpointing=question.checkpointing,
    )  # fmt: skip


def _memory(
    config: Mapping[str, Any], model: ModelCounts, question: CostOptions, device: str
) -> dict[str, Any]:
    training, validation = config["training"], config["validation"]["batch_size"]
    optimizer = count_optimizer(config["optim"], model)
    micro = training["micro_batch_size"] or training["batch_size"]
    passes = training["batch_size"] // micro
    how = compute_settings(config, device, question)
    held = estimate_memory(
        model, optimizer, how, micro_batch=micro, passes=passes, validation_batch=validation
    )
    found: dict[str, Any] = {
        "device": device,
        "precision": how.precision,
        "micro_batch_size": micro,
        "passes": passes,
        "parameters": held.parameters,
        "gradients": held.gradients,
        "optimizer": held.optimizer,
        "activations": held.activations,
        "activations_by_component": activation_bytes(model, micro, how),
        "loss": held.transient,
        "saving": held.saving,
        "training_peak": held.training,
        "validation_peak": held.validation,
        "peak": held.peak,
        "textbook_activation_values": FLOAT32 * textbook_activation_values(model, micro),
    }
    if question.memory is not None:
        found["available"] = question.memory
        found["largest_batch"] = largest_batch(model, optimizer, how, question.memory)
    return found


def _disk(config: Mapping[str, Any], model: ModelCounts) -> dict[str, int]:
    left, most = run_folder_bytes(config, model, count_optimizer(config["optim"], model))
    return {"left": left, "most": most}


def _time(config: Mapping[str, Any], model: ModelCounts, question: CostOptions) -> dict[str, Any]:
    training = config["training"]
    step = model.training_flops() * training["batch_size"]
    update = count_optimizer(config["optim"], model).flops
    found: dict[str, Any] = {
        "batch_size": training["batch_size"], "steps": training["steps"], "step_flops": step,
        "update_flops": update, "run_flops": step * training["steps"],
    }  # fmt: skip
    if question.peak is not None:
        seconds = step / (question.peak * question.mfu)
        found |= {
            "peak": question.peak, "mfu": question.mfu, "step_seconds": seconds,
            "run_seconds": seconds * training["steps"],
        }  # fmt: skip
    return found


def _textbook(model: ModelCounts, question: CostOptions) -> dict[str, Any]:
    paper = Textbook.of(model)
    earlier = dataclasses.replace(paper, block_terms=19)
    found = {
        "expression": list(EXPRESSION),
        "parameters": paper.parameters,
        "fixed_bytes": paper.fixed_bytes,
        "bytes_a_sequence": paper.bytes_per_sequence,
        "evaluated": paper.evaluated(),
        "evaluated_with_19L": earlier.evaluated(),
    }
    if question.memory is not None:
        found["largest_batch"] = paper.largest_batch(question.memory)
    return found
