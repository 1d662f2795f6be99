"""The share of a rank that writes nothing: it computes its part of every batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from lmlab.build.run_data import RunData
from lmlab.config.run_config import RunConfig
from lmlab.distributed.communicator import Communicator
from lmlab.distributed.fsdp import unsharded
from lmlab.run_folder import FINISHED
from lmlab.runs.session import build_trainer
from lmlab.runtime.device import Device
from lmlab.runtime.signals import SignalHandler
from lmlab.training.checkpoint import NoCheckpoints
from lmlab.training.state import TrainState, broadcast_state, gather_shards, gather_weight_shards


@dataclasses.dataclass
class WorkerRank:
    """What the ranks besides rank 0 do of a run; rank 0 holds its session."""

    config: RunConfig
    device: Device
    texts: RunData
    state: TrainState
    comm: Communicator

    def run_to_end(self) -> int:
        """Train to where rank 0 trains; return the exit code of the process."""
        with SignalHandler(all_reduce_max=self.comm.all_reduce_max).listen() as stop:
            broadcast_state(self.state, self.comm)
            trainer = build_trainer(
                self.config, self.device, self.texts, self.state, self.comm,
                checkpoints=_Contribution(), record=_drop, stop=stop,
            )  # fmt: skip
            with self.comm.reporting_lost_ranks():
                ended = trainer.train()
                if ended == "done":
                    with unsharded(self.state.model):  # rank 0 lets the model write
                        pass
            if ended in FINISHED:
                return 0
            assert stop.signal_number is not None
            return 128 + stop.signal_number


class _Contribution(NoCheckpoints):
    """Saves nothing, but gives rank 0 what is only here of a state that it saves."""

    def save(self, state: TrainState) -> Path:
        """Take part in a save of rank 0's at the same step."""
        gather_shards(state)
        return super().save(state)

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Take part in a save of rank 0's at the same step."""
        gather_weight_shards(model)
        return super().save_best(model, step, loss)


def _drop(row: dict[str, Any]) -> None:
    """Record nothing."""
