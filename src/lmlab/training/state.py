"""The resumable state of a run: one object in memory, tensors and plain numbers in files."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.exact_load import full_state, load_exactly, unsaved_attributes
from lmlab.distributed.full_tensor import full_tensor
from lmlab.distributed.sharded_optimizer import ShardedOptimizer
from lmlab.distributed.state_layout import allocate, layout_without_tensors, state_tensors
from lmlab.errors import DataError
from lmlab.optim.modes import evaluation_mode, has_modes
from lmlab.runtime.random_streams import generator_states, restore_generators
from lmlab.training.optimizer_state import flatten_optimizer, restore_optimizer
from lmlab.training.state_values import ABSENT, copy_to_host
from lmlab.training.weight_average import WeightAverage

# Names in a file of the weights that a run is measured by, where they are not those it trains: its
# average of the weights, and those of the optimizer's evaluation mode.
AVERAGE, EVALUATED = "average.", "evaluated."


@dataclasses.dataclass
class Progress:
    """Progress of a run: the state of the loop apart from weights and optimizer.

    Attributes:
        step: number of completed updates.
        tokens: number of training tokens seen.
        seconds: time spent in the loop, over all sessions of the run.
        first_loss: training loss of the first update in nats per token, the reference for
            divergence.
        interval_loss: sum of the losses since the last training row, in nats per token.
        interval_steps: number of updates in that sum.
        interval_terms: sums of the terms of the loss in the same updates, by name.
        window_loss: sum of the losses that the rule of divergence has not judged yet, in nats per
            token; see :mod:`lmlab.training.divergence`.
        window_steps: number of updates in that sum.
        best_loss: lowest finite validation loss so far, in nats per token.
        best_step: step of that loss.
        evaluations_since_best: evaluations after that one.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    interval_loss: float = 0.0
    interval_steps: int = 0
    best_loss: float | None = None
    best_step: int | None = None
    evaluations_since_best: int = 0
    window_loss: float = 0.0  # missing in checkpoints of earlier versions, as the next one
    window_steps: int = 0
    interval_terms: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class TrainState:
    """All resumable state of a run in one object.

    Each rank has its own. Where ranks shard the weights or the optimizer state, all of them take
    part in saving.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer | ShardedOptimizer
    progress: Progress
    average: WeightAverage | None = None

    def __post_init__(self) -> None:
        self._unsaved = unsaved_attributes(self._inner_optimizer())
        self._reported: set[str] = set()

    def newly_unsaved(self) -> list[str]:
        """Return the attributes of the optimizer that changed and that no checkpoint holds.

        They are compared with those of the newly built optimizer. Each is returned once.
        """
        names = [
            name
            for name, value in unsaved_attributes(self._inner_optimizer()).items()
            if name not in self._reported and self._unsaved.get(name, ABSENT) != value
        ]
        self._reported.update(names)
        return names

    def _inner_optimizer(self) -> torch.optim.Optimizer:
        if isinstance(self.optimizer, ShardedOptimizer):
            return self.optimizer.optimizer
        return self.optimizer

    def evaluated(self) -> contextlib.AbstractContextManager[None]:
        """Put the weights that the run is measured by into the model inside.

        These are the average, if the run keeps one, or those of the optimizer's evaluation mode.
        All ranks enter and leave together.
        """
        return self.in_evaluation_mode() if self.average is None else self.average.in_model()

    def in_evaluation_mode(self) -> contextlib.AbstractContextManager[None]:
        """Put the optimizer in evaluation mode inside; see :mod:`lmlab.optim.modes`."""
        return evaluation_mode(self.optimizer, self.model)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A copy of a training state in host memory, which no later update changes.

    Attributes:
        weights: tensors of the model by name.
        training: tensors of the optimizer, random states, and the weights that the run is measured
            by where they differ, by name.
        record: progress and the optimizer's plain numbers, as JSON values.
    """

    weights: dict[str, torch.Tensor]
    training: dict[str, torch.Tensor]
    record: dict[str, Any]

    @classmethod
    def capture(cls, state: TrainState) -> Snapshot:
        """Copy ``state``; all ranks must call this or :func:`gather_shards`."""
        tensors, numbers = flatten_optimizer(state.optimizer)
        record = {"progress": dataclasses.asdict(state.progress), "optimizer": numbers}
        tensors |= generator_states()
        if state.average is not None:
            tensors |= {f"{AVERAGE}{n}": copy_to_host(t) for n, t in state.average.tensors.items()}
        if has_modes(state.optimizer):
            with state.in_evaluation_mode():
                tensors |= {f"{EVALUATED}{n}": t for n, t in copy_weights(state.model).items()}
        return cls(copy_weights(state.model), tensors, record)

    def restore(self, state: TrainState, source: Path) -> None:
        """Overwrite ``state`` with this snapshot.

        Args:
            state: overwritten in place.
            source: the file or folder that error messages name.

        Raises:
            DataError: names or shapes differ from the model's.
        """
        load_weights(state.model, self.weights, source)
        restore_optimizer(state.optimizer, self.training, self.record["optimizer"])
        restore_generators(self.training)
        if state.average is not None:
            for name, tensor in state.average.tensors.items():
                tensor.copy_(self.training[f"{AVERAGE}{name}"])
        progress = Progress(**self.record["progress"])
        for name in ("interval_steps", "window_steps"):
            if not 0 <= getattr(progress, name) <= progress.step:
                raise DataError(
                    f"{source}: progress.{name}={getattr(progress, name)}: expected 0 to "
                    f"{progress.step}, the steps of the run"
                )
        state.progress = progress


def gather_shards(state: TrainState) -> None:
    """Send this rank's shards of the state to rank 0, which calls :meth:`Snapshot.capture`."""
    if isinstance(state.optimizer, ShardedOptimizer):
        state.optimizer.state_dict()
    if has_modes(state.optimizer):
        with state.in_evaluation_mode():
            gather_weight_shards(state.model)
    gather_weight_shards(state.model)


def gather_weight_shards(model: nn.Module) -> None:
    """Send this rank's shards of the weights to rank 0, which calls :func:`copy_weights`."""
    for tensor in _distinct_entries(model).values():
        full_tensor(tensor)


def copy_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy a model's state entries; of entries that share memory, only the first by name."""
    return {name: copy_to_host(tensor) for name, tensor in _distinct_entries(model).items()}


def _distinct_entries(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return state entries by name; of entries that share memory, only the first."""
    names: dict[tuple[int, torch.Size], str] = {}
    entries = sorted(model.state_dict(keep_vars=True).items())
    return {
        name: tensor
        for name, tensor in entries
        if names.setdefault((_memory_id(tensor), tensor.shape), name) == name
    }


def _memory_id(tensor: torch.Tensor) -> int:
    """Identify a tensor's memory.

    A sharded tensor is identified by its object, because empty shards have no memory.
    """
    return id(tensor) if hasattr(tensor, "full_tensor") else tensor.data_ptr()


def load_weights(model: nn.Module, tensors: dict[str, torch.Tensor], source: Path) -> None:
    """Copy ``tensors`` into ``model``; tied weights are stored once, under either name.

    Raises:
        DataError: names or shapes differ from the model's.
    """
    shared = _shared_names(model)
    try:
        result = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise DataError(f"{source}: weights of another model: {error}") from error
    missing = [name for name in result.missing_keys if name not in shared]
    if missing or result.unexpected_keys:
        raise DataError(
            f"{source}: weights of another model: "
            f"missing {missing}, unexpected {result.unexpected_keys}"
        )


def _shared_names(model: nn.Module) -> set[str]:
    """Return the names of state entries that share memory with another entry."""
    owners: dict[int, list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        owners.setdefault(tensor.data_ptr(), []).append(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def broadcast_state(state: TrainState, comm: Communicator) -> None:
    """Give all ranks the weights and progress of rank 0, and its optimizer state or their shard."""
    state.progress = comm.broadcast_from_rank0(lambda: state.progress)
    weights = {tensor.data_ptr(): tensor for tensor in state.model.state_dict().values()}
    comm.broadcast(0, list(weights.values()))
    if state.average is not None:
        comm.broadcast(0, list(state.average.tensors.values()))
    if isinstance(state.optimizer, ShardedOptimizer):
        state.optimizer.broadcast()
    else:
        _broadcast_optimizer(state.optimizer, state.model, comm)


def _broadcast_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, comm: Communicator
) -> None:
    local = full_state(optimizer)
    layout = comm.broadcast_from_rank0(lambda: layout_without_tensors(local))
    device = next(model.parameters()).device
    received = local if comm.is_rank0 else allocate(layout, device)
    comm.broadcast(0, list(state_tensors(received)))
    if not comm.is_rank0:
        load_exactly(optimizer, received)
