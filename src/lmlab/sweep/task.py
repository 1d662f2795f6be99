"""A job and how far it is."""

from __future__ import annotations

import dataclasses
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from lmlab.config.run_config import RunConfig
from lmlab.design.manifest import Job
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.storage.lock import is_alive
from lmlab.study.sweep_folder import Failure
from lmlab.sweep.slots import Slot

PLACED = ("submitted", "running")
OPEN = ("queued", *PLACED, "elsewhere")


@dataclasses.dataclass
class Task:
    """One job of a sweep while it is carried out.

    Attributes:
        job: which run.
        purposes: what it is needed for.
        config: of the run, frozen.
        run: its folder.
        log: what its process prints.
        state: ``queued``, ``submitted`` (waits in a cluster's queue), ``running``, ``elsewhere``
            (another launch runs it), ``done``, ``diverged``, ``failed`` or ``interrupted``.
        reason: why it failed.
        metric: what the design compares runs in.
        was_done: found finished, not run by this launch.
        flops: of its training, by which the longest is known.
    """

    job: Job
    purposes: list[str]
    config: RunConfig
    run: RunFolder
    log: Path
    state: str = "queued"
    reason: str = ""
    metric: str = "loss"
    was_done: bool = False
    flops: int = 0
    process: BaseProcess | None = None
    slot: Slot | None = None
    started: float = 0.0
    seconds: float = 0.0
    _final: TrialOutcome | None = None

    @property
    def key(self) -> str:
        """Tells the tasks of a sweep apart."""
        return f"{self.job.name}#{self.job.number}"

    @property
    def is_open(self) -> bool:
        """Whether it may still change by itself."""
        return self.state in OPEN

    @property
    def failure(self) -> Failure | None:
        """Why it failed; None where it did not."""
        return Failure(self.reason, self.log) if self.state == "failed" else None

    def look(self) -> None:
        """Take the state from the run's files, where no process of this launch runs it."""
        status = self.run.status().get("status")
        if status in FINISHED:
            self.state, self.was_done = str(status), True
        elif is_alive(self.run.path / "run.lock"):
            self.state = "elsewhere"
        else:
            self.state = "queued"

    def loss(self) -> float | None:
        """The final validation loss; None before the end, or where it is not finite."""
        return self.outcome().loss

    def outcome(self) -> TrialOutcome:
        """The result as the design sees it; read once it is final."""
        if self.state not in FINISHED:
            return TrialOutcome(self.state)
        if self._final is None:
            self._final = outcome_from_losses(
                self.state, [row[self.metric] for row in self.run.rows("validation")]
            )
        return self._final

    def progress(self) -> tuple[float, float | None]:
        """Share of the steps done, and seconds left."""
        status = self.run.status()
        steps = status.get("steps") or 0
        share = status.get("step", 0) / steps if steps else 0.0
        if self.state != "running" or not share:
            return share, None
        seconds = status.get("seconds", time.monotonic() - self.started)
        return share, seconds * (1 - share) / share
