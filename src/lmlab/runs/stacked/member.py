"""One run of a stack: an ordinary run, except that others compute its gradients with their own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator

import torch

from lmlab.build import factory
from lmlab.build.identity import run_identity
from lmlab.build.run_data import RunData
from lmlab.config.run_config import RunConfig
from lmlab.console.logging import log_to_file
from lmlab.errors import UserError
from lmlab.preflight.run_preflight import RunPreflight
from lmlab.run_folder import FINISHED
from lmlab.runs.continuation import find_parent
from lmlab.runs.execute import locate
from lmlab.runs.session import Session
from lmlab.runs.stacked.stacked_parameters import StackedParameters
from lmlab.runtime.device import Device
from lmlab.runtime.signals import SignalHandler
from lmlab.training.trainer import Trainer

Batch = tuple[torch.Tensor, torch.Tensor]


class Member:
    """A run with a place in a stack.

    Its folder, lock, checkpoints, rows and status are its own. A place whose run is finished, or
    is written by another process, stays empty: a stack keeps its size, and so the bits of the
    others.

    Args:
        config: of the run.
        place: of its weights.
        texts: its data.
        device: that the stack computes on.

    Attributes:
        batch: what the run wants the gradients of; None before it begins and after it ended.
        exit_code: as that of a run's own process, 0 where nothing was to be done.
    """

    def __init__(self, config: RunConfig, place: int, texts: RunData, device: Device) -> None:
        self.config, self.place = config, place
        self.texts, self.device = texts, device
        self.batch: Batch | None = None
        self.exit_code = 0
        self.identity = run_identity(config, texts, device)
        self.run, _ = locate(config, self.identity)
        self._loop: Generator[Batch, torch.Tensor, int] | None = None
        self._held = contextlib.ExitStack()

    def begin(self, parameters: StackedParameters, size: int, stop: SignalHandler) -> None:
        """Take the run's lock and go to its first batch, from wherever it stands.

        Args:
            parameters: of the stack; the run's weights go to its place there.
            size: places of the stack.
            stop: asked at each step boundary.
        """
        if self.run.status().get("status") in FINISHED:
            return
        with self._ending_with_errors():
            parent = find_parent(self.config, self.identity)
            flight = RunPreflight.prepare(
                self.config, self.device, self.texts, self.run, alone=False
            )
            state = factory.build_state(self.config, self.device)
            parameters.adopt(self.place, state.model)
            self._held.enter_context(self.run.lock())
            session = Session(
                self.config, self.run, self.device, self.texts, self.identity, state, parent,
                flight, stacked=size,
            )  # fmt: skip
            self._loop = session.loop(stop, Trainer.loop)
            self._held.enter_context(contextlib.closing(self._loop))
            self.batch = self._advance(None)

    def go_on(self, loss: torch.Tensor) -> None:
        """Take the update whose gradients the run's parameters hold, up to the next batch."""
        with self._ending_with_errors():
            self.batch = self._advance(loss)

    def leave(self) -> None:
        """Let go of the run, which stays where its last checkpoint is unless it ended."""
        self.batch, self._loop = None, None
        self._held.close()

    def _advance(self, loss: torch.Tensor | None) -> Batch | None:
        assert self._loop is not None
        with log_to_file(self.run.log):
            try:
                return next(self._loop) if loss is None else self._loop.send(loss)
            except StopIteration as end:
                self.exit_code = int(end.value)
        self.leave()
        return None

    @contextlib.contextmanager
    def _ending_with_errors(self) -> Iterator[None]:
        """End this run alone where something is wrong with it, as its own process would."""
        try:
            yield
        except UserError as error:
            print(f"error: {self.run.path}: {error}", file=sys.stderr)
            self.exit_code = error.exit_code
            self.leave()
