"""The share of a rank that writes nothing: it computes its part of every batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from lmlab.assemble import Texts
from lmlab.checkpoint import NoCheckpoints
from lmlab.config.compose import Config
from lmlab.device import Device
from lmlab.fully_sharded import put_together
from lmlab.ranks.ranks import Ranks
from lmlab.replicas import spread_state
from lmlab.run_folder import FINISHED
from lmlab.session import build_trainer
from lmlab.train_state import TrainState, contribute, contribute_weights
from lmlab.trainer import StopRequest


@dataclasses.dataclass
class Follower:
    """What the ranks besides rank 0 do of a run; rank 0 holds its session."""

    config: Config
    device: Device
    texts: Texts
    state: TrainState
    ranks: Ranks

    def run_to_end(self) -> int:
        """Train to where rank 0 trains; return the exit code of the process."""
        with StopRequest(agree=self.ranks.largest).listening() as stop:
            spread_state(self.state, self.ranks)
            trainer = build_trainer(
                self.config, self.device, self.texts, self.state, self.ranks,
                checkpoints=_Contribution(), record=_drop, stop=stop,
            )  # fmt: skip
            with self.ranks.watching():
                ended = trainer.train()
                if ended == "done":
                    with put_together(self.state.model):  # rank 0 lets the model write
                        pass
            if ended in FINISHED:
                return 0
            assert stop.signal_number is not None
            return 128 + stop.signal_number


class _Contribution(NoCheckpoints):
    """Saves nothing, but gives rank 0 what is only here of a state that it saves."""

    def save(self, state: TrainState) -> Path:
        """Take part in a save of rank 0's at the same step."""
        contribute(state)
        return super().save(state)

    def save_best(self, model: nn.Module, step: int, loss: float) -> Path:
        """Take part in a save of rank 0's at the same step."""
        contribute_weights(model)
        return super().save_best(model, step, loss)


def _drop(row: dict[str, Any]) -> None:
    """Record nothing."""
