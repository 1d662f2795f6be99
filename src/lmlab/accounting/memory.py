"""Memory of a training run by component."""

from __future__ import annotations

import dataclasses

from lmlab.accounting.model_counts import ModelCounts
from lmlab.nn.component_counts import Kind, SavedTensor
from lmlab.optim.optimizer_counts import OptimizerCounts

FLOAT32 = 4
# Size for CUBLAS_WORKSPACE_CONFIG=:4096:8, which deterministic runs set.
CUBLAS_WORKSPACE = 8 * 4096 * 1024


@dataclasses.dataclass(frozen=True)
class ComputeSettings:
    """The settings of a run that determine its memory.

    Attributes:
        precision: ``fp32``, or ``bf16`` with a bfloat16 copy of the matrices.
        device: ``cpu``, ``cuda`` or ``mps``.
        fused_attention: whether attention never materialises the scores.
        loss_chunk: tokens whose logits exist at a time; None for all tokens of the pass.
        checkpointing: activation checkpointing: save only the inputs of blocks.
        optimizer_shards: ranks that share the optimizer state.
        gradient_shards: ranks that share the gradients.
        averages: whether an average of the weights is kept.
    """

    precision: str = "fp32"
    device: str = "cpu"
    fused_attention: bool = True
    loss_chunk: int | None = None
    checkpointing: bool = False
    optimizer_shards: int = 1
    gradient_shards: int = 1
    averages: bool = False

    @property
    def compute_bytes(self) -> int:
        """Bytes per value in matrix products."""
        return FLOAT32 if self.precision == "fp32" else 2


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training run by component.

    Attributes:
        parameters: weights, their average and tables.
        gradients: gradients of all parameters.
        optimizer: optimizer state.
        activations: tensors saved for the backward pass.
        transient: logits and their gradients during the computation of the loss.
        workspace: workspace of libraries on the device.
        saving: copies of the state and of the best weights that are written in the background. They
            are in host memory and not part of the peaks below; 0 on CUDA.
        training: peak of an update.
        validation: peak of an evaluation.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    transient: int
    workspace: int
    saving: int
    training: int
    validation: int

    @property
    def peak(self) -> int:
        """Peak of the run."""
        return max(self.training, self.validation)


def textbook_activation_values(model: ModelCounts, batch: int) -> int:
    """Return the activation values of one pass by the derivation on paper.

    It counts the result of each operation once. With an ungated feed-forward layer and F = 4D, the
    sum is (16 L + 1) B T D + 2 L B H T^2 + B T V + B T.
    """
    return sum(
        component.times * _values(tensor, model.context, batch)
        for component in model.components
        for tensor in component.counts.textbook
    )


def activation_bytes(model: ModelCounts, batch: int, settings: ComputeSettings) -> dict[str, int]:
    """Return the bytes saved for backward in a pass over ``batch`` sequences, by component.

    Each saved tensor counts once; parameters and tables do not count.
    """
    chunk = _loss_chunk(model, settings)
    sizes: dict[str, int] = {}
    for component, tensor in model.saved_tensors(settings.fused_attention):
        size = component.times * _bytes(tensor, model.context, batch, settings)
        if tensor.name in ("log softmax", "targets") and chunk is not None:
            size = 0  # those of a chunk are freed before the next chunk
        sizes[component.name] = sizes.get(component.name, 0) + size
    if settings.checkpointing:
        sizes = _checkpointed(model, batch, settings, sizes)
    if chunk is not None:
        sizes["the head's gradient"] = settings.compute_bytes * model.vocab_size * model.d_model
    return {name: size for name, size in sizes.items() if size}


def estimate_memory(
    model: ModelCounts,
    optimizer: OptimizerCounts,
    settings: ComputeSettings,
    *,
    micro_batch: int,
    passes: int = 1,
    validation_batch: int = 0,
) -> MemoryEstimate:
    """Estimate the memory of a training run.

    Args:
        model: counts of the model.
        optimizer: counts of the optimizer.
        settings: how the run computes.
        micro_batch: sequences per forward pass.
        passes: forward passes per update; with several, gradients and activations coexist.
        validation_batch: sequences per forward pass of an evaluation.
    """
    parameters = FLOAT32 * (model.parameters + model.tables)
    if settings.precision != "fp32":
        parameters += 2 * model.matrix_entries  # the bfloat16 copy
    average = FLOAT32 * model.parameters if settings.averages else 0
    parameters += average
    gradients = FLOAT32 * model.parameters // settings.gradient_shards
    state = FLOAT32 * optimizer.state // settings.optimizer_shards
    workspace = CUBLAS_WORKSPACE if settings.device == "cuda" else 0
    saved = sum(activation_bytes(model, micro_batch, settings).values())
    transient = _loss_transient(model, micro_batch, settings)
    evaluated = FLOAT32 * optimizer.evaluated
    saving = FLOAT32 * (2 * model.parameters + optimizer.state) + average + evaluated
    saving = 0 if settings.device == "cuda" else saving
    fixed = parameters + state + workspace
    if passes > 1:
        training = fixed + gradients + saved + transient
    else:
        # During the backward pass gradients grow and activations shrink: the peak is at one end.
        last = saved // max(1, model.num_layers)
        training = fixed + max(saved + transient, gradients + last)
    return MemoryEstimate(
        parameters=parameters,
        gradients=gradients,
        optimizer=state,
        activations=saved,
        transient=transient,
        workspace=workspace,
        saving=saving,
        training=training,
        # While other weights are evaluated than are trained, the latter are kept aside.
        validation=fixed + average + evaluated + gradients
        + _validation(model, validation_batch, settings),
    )  # fmt: skip


def largest_batch(
    model: ModelCounts,
    optimizer: OptimizerCounts,
    settings: ComputeSettings,
    available: int,
    validation_batch: int = 0,
    passes: int = 1,
) -> int:
    """Return the largest number of sequences per pass within ``available`` bytes, possibly 0."""

    def is_within_memory(batch: int) -> bool:
        needed = estimate_memory(
            model, optimizer, settings,
            micro_batch=batch, passes=passes, validation_batch=validation_batch,
        )  # fmt: skip
        return needed.peak <= available

    if not is_within_memory(1):
        return 0
    low, high = 1, 2
    while is_within_memory(high) and high < 1 << 40:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_within_memory(middle) else (low, middle)
    return low


def _loss_chunk(model: ModelCounts, settings: ComputeSettings) -> int | None:
    return settings.loss_chunk if model.loss_in_chunks else None


def _values(tensor: SavedTensor, context: int, batch: int) -> int:
    return batch * context * (tensor.per_token + tensor.per_pair * context)


def _bytes(tensor: SavedTensor, context: int, batch: int, settings: ComputeSettings) -> int:
    values = _values(tensor, context, batch)
    if tensor.cpu_only and settings.device != "cpu":
        return 0
    if tensor.kind is Kind.INDEX:
        return 8 * values
    if tensor.kind is Kind.MASK and settings.device == "cuda":
        return values
    if tensor.kind is Kind.FLOAT32:
        return FLOAT32 * values
    return settings.compute_bytes * values


def _checkpointed(
    model: ModelCounts, batch: int, settings: ComputeSettings, sizes: dict[str, int]
) -> dict[str, int]:
    """Count the inputs of all blocks and the activations of the one block being recomputed."""
    inside = {component.name for component in model.components if component.in_block}
    outside = {name: size for name, size in sizes.items() if name not in inside}
    tokens = batch * model.context
    one = sum(size for name, size in sizes.items() if name in inside) // model.num_layers
    return outside | {
        "inputs of the blocks": model.num_layers * tokens * model.d_model * FLOAT32,
        "one block, computed again": one,
    }


def _loss_transient(model: ModelCounts, batch: int, settings: ComputeSettings) -> int:
    """Count logits, and the gradients of log softmax and logits; the log softmax is an activation.

    The trainer keeps a reference to the logits through the backward pass.
    """
    tokens, chunk = batch * model.context, _loss_chunk(model, settings)
    if chunk is None:
        return tokens * model.vocab_size * (settings.compute_bytes + 2 * FLOAT32)
    # Per logit: a float32 buffer, and the logits or their gradient in the dtype of the products. In
    # addition the head's accumulated gradient and that of the chunk, in float32.
    bytes_per_logit = FLOAT32 + (settings.compute_bytes if settings.precision != "fp32" else 0)
    rows = min(tokens, chunk)
    return model.vocab_size * (rows * bytes_per_logit + 2 * FLOAT32 * model.d_model)


def _validation(model: ModelCounts, batch: int, settings: ComputeSettings) -> int:
    """Count logits, their float32 copy (unless they are float32), and the log softmax."""
    bytes_per_logit = FLOAT32 + (FLOAT32 if settings.precision == "fp32" else 2 + FLOAT32)
    stream = 2 * model.d_model * FLOAT32
    return batch * model.context * (model.vocab_size * bytes_per_logit + stream)
