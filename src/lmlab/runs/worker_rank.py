"""A rank that writes no files: it computes its part of every batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from lmlab.build import factory
from lmlab.distributed.fsdp import unsharded
from lmlab.run_folder import FINISHED
from lmlab.runs.context import RunContext
from lmlab.runtime.signals import SignalHandler
from lmlab.training.checkpoint import NoCheckpoints
from lmlab.training.state import TrainState, broadcast_state, gather_shards, gather_weight_shards


class WorkerRank:
    """Any rank of a run except rank 0, which holds the session.

    Args:
        context: of the run.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.state = factory.build_state(
            context.spec, context.device, context.comm, context.data.documents
        )

    def run_to_end(self) -> int:
        """Train as long as rank 0 does; return the exit code of the process."""
        context, comm = self.context, self.context.comm
        with SignalHandler(all_reduce_max=comm.all_reduce_max).listen() as stop:
            broadcast_state(self.state, comm)
            trainer = factory.build_trainer(
                context.spec, context.device, context.data, self.state, comm,
                checkpoints=_ShardContribution(), record=_discard, keep_items=_discard,
                stop=stop,
            )  # fmt: skip
            with comm.reporting_lost_ranks():
                ended = trainer.train()
                if ended == "done":
                    with self.state.evaluated(), unsharded(self.state.model):
                        pass  # rank 0 generates samples
            if ended in FINISHED:
                return 0
            assert stop.signal_number is not None
            return 128 + stop.signal_number


class _ShardContribution(NoCheckpoints):
    """Saves nothing, but sends rank 0 the shards of this rank that it saves."""

    def save(self, state: TrainState) -> Path:
        """Take part in the save of rank 0 at the same step."""
        gather_shards(state)
        return super().save(state)

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Take part in the save of rank 0 at the same step."""
        gather_weight_shards(model)
        return super().save_best(model, step, loss)


def _discard(*recorded: Any) -> None:
    """Record nothing; rank 0 does."""
