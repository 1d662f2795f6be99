"""One run of a stack: an ordinary run whose gradients are computed together with others."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import torch

from lmlab.build import factory
from lmlab.build.identity import run_identity
from lmlab.build.run_data import RunData
from lmlab.build.run_spec import RunSpec
from lmlab.console.logging import log_to_file
from lmlab.distributed.communicator import SINGLE_PROCESS
from lmlab.errors import UserError
from lmlab.preflight.run_preflight import RunPreflight
from lmlab.run_folder import FINISHED
from lmlab.runs.context import RunContext
from lmlab.runs.continuation import find_parent
from lmlab.runs.find_run import locate
from lmlab.runs.session import GradientRequests, Session
from lmlab.runs.stacked.stacked_parameters import StackedParameters
from lmlab.runtime.device import Device
from lmlab.runtime.signals import SignalHandler
from lmlab.training.trainer import Trainer


class StackMember:
    """A run at a fixed index of a stack.

    It has a folder, lock, checkpoints, rows and status of its own. A member whose run is finished,
    or is written by another process, stays idle: the size of the stack, and so the bits of the
    other members, do not change.

    Args:
        spec: of the run.
        index: of its weights in the stack.
        data: of the run.
        device: where the stack computes.

    Attributes:
        context: of the run.
        batch: inputs and targets whose gradients the run needs next; None before it starts and
            after it has ended.
        exit_code: as that of a process of its own; 0 for an idle member.
    """

    def __init__(self, spec: RunSpec, index: int, data: RunData, device: Device) -> None:
        identity = run_identity(spec.identity_settings, data, device)
        folder, _ = locate(spec, identity)
        self.context = RunContext(spec, device, data, SINGLE_PROCESS, identity, folder)
        self.index = index
        self.batch: tuple[torch.Tensor, torch.Tensor] | None = None
        self.exit_code = 0
        self._loop: GradientRequests | None = None
        self._resources = contextlib.ExitStack()

    def begin(self, parameters: StackedParameters, stack_size: int, stop: SignalHandler) -> None:
        """Lock the run and restore it, up to its first batch; do nothing where it is finished.

        Args:
            parameters: of the stack; they take the run's weights at its index.
            stack_size: number of members.
            stop: checked at each step boundary.
        """
        context = self.context
        if context.folder.status().get("status") in FINISHED:
            return
        with self._ending_on_errors():
            parent = find_parent(context.spec, context.identity)
            preflight = RunPreflight.prepare(
                context.spec, context.device, context.data, context.folder, is_stacked=True
            )
            state = factory.build_state(
                context.spec, context.device, documents=context.data.documents
            )
            parameters.adopt(self.index, state.model)
            self._resources.enter_context(context.folder.lock())
            session = Session(context, state, parent, preflight, stack_size)
            self._loop = session.loop(stop, Trainer.loop)
            self._resources.enter_context(contextlib.closing(self._loop))
            self.batch = self._advance(None)

    def step(self, losses: dict[str, torch.Tensor]) -> None:
        """Take the update for which the parameters hold gradients, up to the next batch."""
        with self._ending_on_errors():
            self.batch = self._advance(losses)

    def leave(self) -> None:
        """Release the run; unless it has ended, its last checkpoint is where it resumes."""
        self.batch, self._loop = None, None
        self._resources.close()

    def _advance(
        self, losses: dict[str, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        assert self._loop is not None
        with log_to_file(self.context.folder.log):
            try:
                return next(self._loop) if losses is None else self._loop.send(losses)
            except StopIteration as end:
                self.exit_code = int(end.value)
        self.leave()
        return None

    @contextlib.contextmanager
    def _ending_on_errors(self) -> Iterator[None]:
        """End this run alone on an error that the user can fix, as its own process would."""
        try:
            yield
        except UserError as error:
            print(f"error: {self.context.folder.path}: {error}", file=sys.stderr)
            self.exit_code = error.exit_code
            self.leave()
