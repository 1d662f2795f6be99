"""All that a run has to remember, as one object, and as tensors and plain numbers for files."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmlab.distributed.communicator import Communicator
from lmlab.distributed.full_tensor import full_tensor
from lmlab.distributed.sharded_optimizer import ShardedOptimizer
from lmlab.distributed.state_layout import allocate, layout_without_tensors, state_tensors
from lmlab.errors import DataError


@dataclasses.dataclass
class Progress:
    """How far a run has come: everything the loop remembers besides weights and optimizer.

    Attributes:
        step: number of finished updates.
        tokens: training tokens seen.
        seconds: time spent in the loop, over all sessions of the run.
        first_loss: training loss of the first update in nats a token; divergence is judged by it.
        interval_loss: sum of the losses since the last recorded row, in nats a token.
        interval_steps: number of updates in that sum.
        best_loss: lowest finite validation loss so far.
        best_step: the step it was measured at.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    interval_loss: float = 0.0
    interval_steps: int = 0
    best_loss: float | None = None
    best_step: int | None = None


@dataclasses.dataclass
class TrainState:
    """All resumable state of a run in one object.

    Of several ranks each has one; where they divide weights or the optimizer's state, saving takes
    all of them.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer | ShardedOptimizer
    progress: Progress


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A training state at one moment, in host memory; no later update changes it.

    Attributes:
        weights: of the model, by name.
        training: the optimizer's tensors and the random states, by name.
        record: the loop's progress and the optimizer's plain numbers, fit for JSON.
    """

    weights: dict[str, torch.Tensor]
    training: dict[str, torch.Tensor]
    record: dict[str, Any]

    @classmethod
    def of(cls, state: TrainState) -> Snapshot:
        """Copy ``state``."""
        tensors, numbers = _flatten_optimizer(state.optimizer)
        training = {name: _copy(tensor) for name, tensor in tensors.items()} | _random_states()
        record = {"progress": dataclasses.asdict(state.progress), "optimizer": numbers}
        return cls(copy_weights(state.model), training, record)

    def restore(self, state: TrainState, source: Path) -> None:
        """Overwrite ``state``; ``source`` is named in errors.

        Raises:
            DataError: names or shapes are not the model's.
        """
        load_weights(state.model, self.weights, source)
        _restore_optimizer(state.optimizer, self.training, self.record["optimizer"])
        _restore_random_states(self.training)
        state.progress = Progress(**self.record["progress"])


def gather_shards(state: TrainState) -> None:
    """Take part in rank 0's :meth:`Snapshot.of`, where only this rank has a part of the state."""
    if isinstance(state.optimizer, ShardedOptimizer):
        state.optimizer.state_dict()
    gather_weight_shards(state.model)


def gather_weight_shards(model: nn.Module) -> None:
    """Take part in rank 0's :func:`copy_weights`."""
    for tensor in _distinct_entries(model).values():
        full_tensor(tensor)


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous copy in host memory, which no later update changes."""
    return full_tensor(tensor.detach()).to("cpu", copy=True).contiguous()


def copy_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of a model's state entries; of those that share memory the first name's only."""
    return {name: _copy(tensor) for name, tensor in _distinct_entries(model).items()}


def _distinct_entries(model: nn.Module) -> dict[str, torch.Tensor]:
    """State entries by name; of those that share memory the first."""
    names: dict[tuple[int, torch.Size], str] = {}
    entries = sorted(model.state_dict(keep_vars=True).items())
    return {
        name: tensor
        for name, tensor in entries
        if names.setdefault((_memory_of(tensor), tensor.shape), name) == name
    }


def _memory_of(tensor: torch.Tensor) -> int:
    """Where a tensor lies; of one that ranks divide, some of whom may have nothing, which it is."""
    return id(tensor) if hasattr(tensor, "full_tensor") else tensor.data_ptr()


def load_weights(model: nn.Module, tensors: dict[str, torch.Tensor], source: Path) -> None:
    """Copy ``tensors`` into ``model``; shared weights are stored once and may be absent.

    Raises:
        DataError: names or shapes are not the model's.
    """
    shared = _shared_names(model)
    try:
        result = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise DataError(f"{source} holds weights of another model: {error}") from error
    missing = [name for name in result.missing_keys if name not in shared]
    if missing or result.unexpected_keys:
        raise DataError(
            f"{source} holds weights of another model: "
            f"missing {missing}, unexpected {result.unexpected_keys}"
        )


def _shared_names(model: nn.Module) -> set[str]:
    """Names of state entries that share memory with an entry named before or after them."""
    owners: dict[int, list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        owners.setdefault(tensor.data_ptr(), []).append(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _flatten_optimizer(
    optimizer: torch.optim.Optimizer | ShardedOptimizer,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split an optimizer's state into named tensors and plain numbers."""
    saved = optimizer.state_dict()
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, values in saved["state"].items():
        numbers[str(index)] = {}
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                numbers[str(index)][key] = value
    return tensors, {"numbers": numbers, "groups": saved["param_groups"]}


def _restore_optimizer(
    optimizer: torch.optim.Optimizer | ShardedOptimizer,
    tensors: dict[str, torch.Tensor],
    plain: dict[str, Any],
) -> None:
    state: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in plain["numbers"].items()
    }
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state[int(index)][key] = tensor
    current = optimizer.param_groups
    groups = [_as_before(saved, now) for saved, now in zip(plain["groups"], current, strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _as_before(saved: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON does to a parameter group: tuples became lists."""
    return {
        key: tuple(value) if isinstance(now.get(key), tuple) else value
        for key, value in saved.items()
    }


def _random_states() -> dict[str, torch.Tensor]:
    """Torch's generators: batches do not use them, but a variant with dropout would."""
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random_states(tensors: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        with contextlib.suppress(RuntimeError):  # another kind of GPU keeps another state
            torch.cuda.set_rng_state(tensors["random.cuda"])


def broadcast_state(state: TrainState, comm: Communicator) -> None:
    """Give every rank the weights and progress of rank 0, and its optimizer's state or a part."""
    state.progress = comm.broadcast_from_rank0(lambda: state.progress)
    weights = {tensor.data_ptr(): tensor for tensor in state.model.state_dict().values()}
    comm.broadcast(0, list(weights.values()))
    if isinstance(state.optimizer, ShardedOptimizer):
        state.optimizer.broadcast()
    else:
        _broadcast_optimizer(state, comm)


def _broadcast_optimizer(state: TrainState, comm: Communicator) -> None:
    own = state.optimizer.state_dict()
    layout = comm.broadcast_from_rank0(lambda: layout_without_tensors(own))
    device = next(state.model.parameters()).device
    received = own if comm.is_rank0 else allocate(layout, device)
    comm.broadcast(0, list(state_tensors(received)))
    if not comm.is_rank0:
        state.optimizer.load_state_dict(received)
