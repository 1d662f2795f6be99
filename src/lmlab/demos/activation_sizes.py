"""How large the activations of a model are, at initialization and after a few updates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lmlab.build import factory
from lmlab.build.run_data import RunData
from lmlab.build.run_spec import RunSpec
from lmlab.nn.transformer import Transformer
from lmlab.optim.clip import clip_gradients
from lmlab.training.objective import training_objective

EMBEDDING, ATTENTION, FFN, RESIDUAL, LOGITS = KINDS = (
    "embedding", "attention output", "feed-forward output", "residual stream", "logits",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Mean absolute values of one kind of activation, over layers, tokens and features.

    Attributes:
        start: at initialization.
        end: after the updates.
        change: of the difference between both, on the same tokens.
    """

    start: float
    end: float
    change: float


def measure_sizes(
    spec: RunSpec, data: RunData, steps: int, batch_size: int
) -> dict[str, Sizes] | None:
    """Build the model of a run, update it at the peak rate, and measure its activations.

    Args:
        spec: of the run, on the CPU.
        data: of the run.
        steps: number of updates.
        batch_size: sequences per update and of the measurement, which no update sees.

    Returns:
        Sizes by kind; None if an activation became infinite.
    """
    model = factory.build_model(spec)
    optimizer = factory.build_optimizer(spec, model)
    batches = factory.build_batches(spec, data)
    inputs = _batch(batches.batch, steps, batch_size)[0]
    before = _activations(model, inputs)
    objective = training_objective(model)
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        objective(*_batch(batches.batch, step, batch_size)).total().backward()
        clip_gradients(model.parameters(), spec.workload.grad_clip_norm)
        optimizer.step()
    after = _activations(model, inputs)
    if not all(bool(one.isfinite().all()) for found in after.values() for one in found):
        return None
    return {
        kind: Sizes(
            _mean(before[kind]),
            _mean(after[kind]),
            _mean([new - old for old, new in zip(before[kind], after[kind], strict=True)]),
        )
        for kind in KINDS
    }


def _batch(
    source: Callable[[int], tuple[object, object]], step: int, size: int
) -> tuple[Tensor, Tensor]:
    inputs, targets = (torch.as_tensor(part)[:size] for part in source(step))
    return inputs, targets


def _mean(values: list[Tensor]) -> float:
    return sum(float(one.abs().mean()) for one in values) / len(values)


@torch.no_grad()
def _activations(model: Transformer, inputs: Tensor) -> dict[str, list[Tensor]]:
    """Return the activations of each kind, one tensor per layer."""
    found: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    parts: dict[nn.Module, str] = {model.embedding: EMBEDDING}
    for block in model.blocks:
        for name, kind in (("attention", ATTENTION), ("ffn", FFN)):
            branch = block.get_submodule(name)
            parts[dict(branch.named_children()).get("sublayer", branch)] = kind
        parts[block] = RESIDUAL
    with _recorded(parts, found):
        found[LOGITS].append(model(inputs))
    return found


@contextmanager
def _recorded(parts: Mapping[nn.Module, str], found: dict[str, list[Tensor]]) -> Iterator[None]:
    def keep(kind: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: found[kind].append(output)

    hooks = [part.register_forward_hook(keep(kind)) for part, kind in parts.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
