"""Keep ``status.json`` of a run true."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from lmlab.errors import UserError
from lmlab.run_folder import RunFolder
from lmlab.training.state import TrainState

INTERVAL_SECONDS = 2.0


class StatusWriter:
    """Writes the status of a run and how far it has come.

    Args:
        folder: of the run.
        state: of the run; its progress is written.
        steps: updates in total.
        key: names the run, as :meth:`RunFolder.key` does.
    """

    def __init__(self, folder: RunFolder, state: TrainState, steps: int, key: str) -> None:
        self.folder, self.state, self.steps, self.key = folder, state, steps, key
        self._written = time.monotonic()

    def write(self, status: str, **details: Any) -> None:
        """Write ``status`` (see :data:`lmlab.run_folder.STATUSES`) and ``details``."""
        progress = self.state.progress
        self.folder.write_status(
            status,
            step=progress.step,
            steps=self.steps,
            tokens=progress.tokens,
            seconds=round(progress.seconds, 3),
            run=self.key,
            **details,
        )
        self._written = time.monotonic()

    def refresh(self) -> None:
        """Write ``running``, unless the status was written a moment ago."""
        if time.monotonic() - self._written > INTERVAL_SECONDS:
            self.write("running")

    def write_failure(self, reason: str) -> None:
        """Write ``failed``, where the disk still allows it."""
        # On a full disk this fails as well; the error itself is reported elsewhere.
        with contextlib.suppress(UserError, OSError):
            self.write("failed", reason=reason)
