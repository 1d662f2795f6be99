"""The complete cost report of a configuration, as plain values."""

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
from lmlab.accounting.target_counts import UnknownCostError
from lmlab.accounting.textbook import EXPRESSION, Textbook
from lmlab.config.shared_parameters import CROSS, DOCUMENT
from lmlab.nn.loss_counts import chunk_rows
from lmlab.optim.optimizer_counts import OptimizerCounts

# Entries about memory that depend on the optimizer.
_WITH_OPTIMIZER = frozenset(
    {"optimizer", "saving", "training_peak", "validation_peak", "peak", "largest_batch"}
)


@dataclasses.dataclass(frozen=True)
class CostOptions:
    """What to report in addition to the configuration, and how the run computes.

    Attributes:
        memory: memory of the device in bytes, to report the largest batch; None to omit it.
        peak: peak FLOP/s of the device, to report time; None to omit it.
        mfu: model FLOPs utilization: the share of the peak that training reaches.
        fused_attention: whether attention never materialises the scores.
        loss_chunk: tokens whose logits exist at a time; None for the default of the policy.
        checkpointing: activation checkpointing: recompute blocks in the backward pass.
    """

    memory: int | None = None
    peak: float | None = None
    mfu: float = 0.5
    fused_attention: bool = True
    loss_chunk: int | None = None
    checkpointing: bool = False


def cost_report(config: Mapping[str, Any], options: CostOptions, device: str) -> dict[str, Any]:
    """Report the costs of a configuration.

    Args:
        config: the resolved configuration as plain values.
        options: what to report, and how the run computes.
        device: device type of the run: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        Parameters, FLOPs, memory, disk and time as JSON values. Where the optimizer has no counts,
        what depends on them is None, and ``missing`` says why.

    Raises:
        UnknownCostError: a component of the model has no counts.
    """
    windows = (config.get("data") or {}).get("windows", CROSS)
    model = count_model(config["model"], windows)
    missing: list[str] = []
    optimizer: OptimizerCounts | None = None
    try:
        optimizer = count_optimizer(config["optim"], model)
    except UnknownCostError as error:
        missing.append(f"The optimizer's state is unknown: {error.message}; {error.help}.")
    if windows == DOCUMENT:
        missing.append(
            f"data.windows={DOCUMENT}: FLOPs are counted as if each window were one document. A "
            "run counts those of the documents of its text, which are fewer."
        )
    return {
        "sizes": {
            "vocab_size": model.vocab_size, "context_length": model.context,
            "num_layers": model.num_layers, "d_model": model.d_model,
            "num_heads": model.num_heads, "d_ff": model.d_ff,
        },
        "parameters": _parameters(model) | {"composition": composition(config["model"])},
        "flops": _flops(model),
        "memory": _memory(config, model, optimizer, options, device),
        "disk": _disk(config, model, optimizer),
        "time": _time(config, model, optimizer, options),
        "textbook": _textbook(model, options),
        "missing": missing,
    }  # fmt: skip


def composition(model: Mapping[str, Any]) -> str:
    """Return the components that a model consists of, for example ``NoNorm, RoPE, GELU, tied``.

    The name of a model's configuration states only its shape.
    """
    classes = [model[part]["_target_"].rpartition(".")[2] for part in ("norm", "pos", "ffn")]
    return ", ".join([*classes, "tied head" if model["tie_embeddings"] else "untied head"])


def _parameters(model: ModelCounts) -> dict[str, Any]:
    return {
        "total": model.parameters,
        "active": model.active_parameters,
        "bytes": FLOAT32 * model.parameters,
        "components": {c.name: c.parameters for c in model.components if c.parameters},
    }


def _flops(model: ModelCounts) -> dict[str, Any]:
    """Report the FLOPs of one sequence."""
    components = {}
    total = model.forward_flops()
    for component in model.components:
        counted = component.forward_flops(model.context)
        if counted:
            components[component.name] = {
                "counted": counted,
                "causal": component.forward_flops(model.context, causal=True),
                "share": counted / total,
            }
    return {
        "forward": total,
        "forward_causal": model.forward_flops(causal=True),
        "training": model.training_flops(),
        "training_causal": model.training_flops(causal=True),
        "components": components,
        "shares": {group: model.share(group) for group in GROUPS if model.share(group)},
    }


AUTO_POLICY = {"cuda": "bf16", "cpu": "fast", "mps": "exact"}


def compute_settings(
    config: Mapping[str, Any], device: str, options: CostOptions, policy: str | None = None
) -> ComputeSettings:
    """Return how the run computes on ``device``; ``policy`` overrides ``runtime.policy``."""
    policy = policy or config["runtime"]["policy"]
    if policy == "auto":
        policy = AUTO_POLICY[device]
    chunk = options.loss_chunk
    if chunk is None and policy != "exact":
        chunk = chunk_rows(config["model"]["vocab_size"], device)
    return ComputeSettings(
        precision="bf16" if policy == "bf16" else "fp32", device=device,
        fused_attention=options.fused_attention, loss_chunk=chunk,
        checkpointing=options.checkpointing,
        averages=(config.get("training") or {}).get("ema") is not None,
    )  # fmt: skip


def _memory(
    config: Mapping[str, Any],
    model: ModelCounts,
    optimizer: OptimizerCounts | None,
    options: CostOptions,
    device: str,
) -> dict[str, Any]:
    training, validation = config["training"], config["validation"]["batch_size"]
    micro = training["micro_batch_size"] or training["batch_size"]
    passes = training["batch_size"] // micro
    settings = compute_settings(config, device, options)
    counted = optimizer or OptimizerCounts(0, None)
    estimate = estimate_memory(
        model, counted, settings, micro_batch=micro, passes=passes, validation_batch=validation
    )
    report: dict[str, Any] = {
        "device": device,
        "precision": settings.precision,
        "micro_batch_size": micro,
        "passes": passes,
        "parameters": estimate.parameters,
        "gradients": estimate.gradients,
        "optimizer": estimate.optimizer,
        "activations": estimate.activations,
        "activations_by_component": activation_bytes(model, micro, settings),
        "loss": estimate.transient,
        "saving": estimate.saving,
        "training_peak": estimate.training,
        "validation_peak": estimate.validation,
        "peak": estimate.peak,
        "textbook_activations": FLOAT32 * textbook_activation_values(model, micro),
    }
    if options.memory is not None:
        report["available"] = options.memory
        report["largest_batch"] = largest_batch(model, counted, settings, options.memory)
    if optimizer is None:
        report |= dict.fromkeys(_WITH_OPTIMIZER & report.keys())
    return report


def _disk(
    config: Mapping[str, Any], model: ModelCounts, optimizer: OptimizerCounts | None
) -> dict[str, int | None]:
    if optimizer is None:
        return {"left": None, "most": None}
    final, peak = run_folder_bytes(config, model, optimizer)
    return {"left": final, "most": peak}


def _time(
    config: Mapping[str, Any],
    model: ModelCounts,
    optimizer: OptimizerCounts | None,
    options: CostOptions,
) -> dict[str, Any]:
    training = config["training"]
    step = model.training_flops() * training["batch_size"]
    update = optimizer.flops if optimizer else None
    report: dict[str, Any] = {
        "batch_size": training["batch_size"], "steps": training["steps"], "step_flops": step,
        "update_flops": update, "run_flops": step * training["steps"],
    }  # fmt: skip
    if options.peak is not None:
        seconds = step / (options.peak * options.mfu)
        report |= {
            "peak": options.peak, "mfu": options.mfu, "step_seconds": seconds,
            "run_seconds": seconds * training["steps"],
        }  # fmt: skip
    return report


def _textbook(model: ModelCounts, options: CostOptions) -> dict[str, Any]:
    textbook = Textbook.of(model)
    report = {
        "expression": list(EXPRESSION),
        "parameters": textbook.parameters,
        "fixed_bytes": textbook.fixed_bytes,
        "bytes_a_sequence": textbook.bytes_per_sequence,
        "evaluated": textbook.evaluated(),
        "evaluated_with_19L": dataclasses.replace(textbook, block_terms=19).evaluated(),
    }
    if options.memory is not None:
        report["largest_batch"] = textbook.largest_batch(options.memory)
    return report
