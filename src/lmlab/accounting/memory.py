"""Memory of a training run, by part."""

from __future__ import annotations

import dataclasses

from lmlab.accounting.model_counts import ModelCounts
from lmlab.nn.counts import Kind, SavedTensor
from lmlab.optim.counts import OptimizerCounts

FLOAT32 = 4
# What cuBLAS takes under CUBLAS_WORKSPACE_CONFIG=:4096:8, the setting of deterministic runs.
CUBLAS_WORKSPACE = 8 * 4096 * 1024


@dataclasses.dataclass(frozen=True)
class ComputeSettings:
    """How a run computes, as far as its memory depends on it.

    Attributes:
        precision: ``fp32``, or ``bf16`` with a working copy of the matrices.
        device: ``cpu``, ``cuda`` or ``mps``.
        fused_attention: whether scores are never written out.
        loss_chunk: tokens whose logits exist at a time; None for all of the pass.
        checkpointing: keep each block's input alone and compute the rest again.
        optimizer_shards: ranks among which the optimizer's state is divided.
        gradient_shards: ranks among which the gradients are divided.
    """

    precision: str = "fp32"
    device: str = "cpu"
    fused_attention: bool = True
    loss_chunk: int | None = None
    checkpointing: bool = False
    optimizer_shards: int = 1
    gradient_shards: int = 1

    @property
    def compute_bytes(self) -> int:
        """Bytes of a value in products."""
        return FLOAT32 if self.precision == "fp32" else 2


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training run, by part.

    Attributes:
        parameters: weights and tables.
        gradients: of all parameters.
        optimizer: its state.
        activations: kept for the backward pass.
        transient: logits and their gradients while the loss is computed.
        workspace: of the libraries on the device.
        saving: copies of the state and of the best weights, which are written while training goes
            on; in the host's memory, beside the peaks below, so nothing on CUDA.
        training: at the peak of an update.
        validation: at the peak of an evaluation.
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
        """The most that is held at any time."""
        return max(self.training, self.validation)


def textbook_activation_values(model: ModelCounts, batch: int) -> int:
    """Activations of one pass in values, each result of an operation on paper once.

    With a feed-forward layer of two matrices and F = 4D that is
    (16 L + 1) B T D + 2 L B H T^2 + B T V + B T.
    """
    return sum(
        component.times * _values(held, model.context, batch)
        for component in model.components
        for held in component.counts.textbook
    )


def activation_bytes(model: ModelCounts, batch: int, how: ComputeSettings) -> dict[str, int]:
    """Bytes that autograd keeps of one forward pass over ``batch`` sequences, by component.

    What is counted is each saved tensor once, without parameters and tables.
    """
    found: dict[str, int] = {}
    for component, held in model.saved_tensors(how.fused_attention):
        own = component.times * _bytes(held, model.context, batch, how)
        if held.name in ("log softmax", "targets") and how.loss_chunk is not None:
            own = 0  # each chunk's are gone when the next one's are made
        found[component.name] = found.get(component.name, 0) + own
    if how.checkpointing:
        found = _checkpointed(model, batch, how, found)
    if how.loss_chunk is not None:
        found["the head's gradient"] = how.compute_bytes * model.vocab_size * model.d_model
    return {name: size for name, size in found.items() if size}


def estimate_memory(
    model: ModelCounts,
    optimizer: OptimizerCounts,
    how: ComputeSettings,
    *,
    micro_batch: int,
    passes: int = 1,
    validation_batch: int = 0,
) -> MemoryEstimate:
    """Memory of a training run.

    Args:
        model: its counts.
        optimizer: its counts.
        how: it computes.
        micro_batch: sequences of a forward pass.
        passes: forward passes of an update; with several, gradients stand beside activations.
        validation_batch: sequences of a pass of an evaluation.
    """
    parameters = FLOAT32 * (model.parameters + model.tables)
    if how.precision != "fp32":
        parameters += 2 * model.matrix_entries  # the working copy
    gradients = FLOAT32 * model.parameters // how.gradient_shards
    state = FLOAT32 * optimizer.state // how.optimizer_shards
    workspace = CUBLAS_WORKSPACE if how.device == "cuda" else 0
    kept = sum(activation_bytes(model, micro_batch, how).values())
    transient = _loss_transient(model, micro_batch, how)
    saving = 0 if how.device == "cuda" else FLOAT32 * (2 * model.parameters + optimizer.state)
    fixed = parameters + state + workspace
    if passes > 1:
        training = fixed + gradients + kept + transient
    else:
        # Gradients grow while activations go; the peak is at one end of the backward pass.
        last = kept // max(1, model.num_layers)
        training = fixed + max(kept + transient, gradients + last)
    return MemoryEstimate(
        parameters=parameters,
        gradients=gradients,
        optimizer=state,
        activations=kept,
        transient=transient,
        workspace=workspace,
        saving=saving,
        training=training,
        validation=fixed + gradients + _validation(model, validation_batch, how),
    )


def largest_batch(
    model: ModelCounts,
    optimizer: OptimizerCounts,
    how: ComputeSettings,
    available: int,
    validation_batch: int = 0,
    passes: int = 1,
) -> int:
    """The most sequences of one pass that fit into ``available`` bytes; 0 where none does."""

    def fits(batch: int) -> bool:
        needed = estimate_memory(
            model, optimizer, how,
            micro_batch=batch, passes=passes, validation_batch=validation_batch,
        )  # fmt: skip
        return needed.peak <= available

    if not fits(1):
        return 0
    low, high = 1, 2
    while fits(high) and high < 1 << 40:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _values(held: SavedTensor, context: int, batch: int) -> int:
    return batch * context * (held.per_token + held.per_pair * context)


def _bytes(held: SavedTensor, context: int, batch: int, how: ComputeSettings) -> int:
    values = _values(held, context, batch)
    if held.cpu_only and how.device != "cpu":
        return 0
    if held.kind is Kind.INDEX:
        return 8 * values
    if held.kind is Kind.FLOAT32:
        return FLOAT32 * values
    return how.compute_bytes * values


def _checkpointed(
    model: ModelCounts, batch: int, how: ComputeSettings, whole: dict[str, int]
) -> dict[str, int]:
    """Each block's input, and the activations of the one block that is computed again."""
    inside = {component.name for component in model.components if component.in_block}
    outside = {name: size for name, size in whole.items() if name not in inside}
    tokens = batch * model.context
    one = sum(size for name, size in whole.items() if name in inside) // model.num_layers
    return outside | {
        "inputs of the blocks": model.num_layers * tokens * model.d_model * FLOAT32,
        "one block, computed again": one,
    }


def _loss_transient(model: ModelCounts, batch: int, how: ComputeSettings) -> int:
    """Logits, and the gradients of log softmax and logits; the log softmax is an activation.

    The trainer's name for the logits lives through the backward pass.
    """
    tokens = batch * model.context
    if how.loss_chunk is None:
        return tokens * model.vocab_size * (how.compute_bytes + 2 * FLOAT32)
    # One float32 buffer, and the logits or their gradient in the numbers of products; beside them
    # the head's gradient so far and that of the chunk, in float32.
    a_value = FLOAT32 + (how.compute_bytes if how.precision != "fp32" else 0)
    shown = min(tokens, how.loss_chunk)
    return model.vocab_size * (shown * a_value + 2 * FLOAT32 * model.d_model)


def _validation(model: ModelCounts, batch: int, how: ComputeSettings) -> int:
    """Logits, their float32 copy where they are not float32, and the log softmax."""
    a_logit = FLOAT32 + (FLOAT32 if how.precision == "fp32" else 2 + FLOAT32)
    stream = 2 * model.d_model * FLOAT32
    return batch * model.context * (model.vocab_size * a_logit + stream)
