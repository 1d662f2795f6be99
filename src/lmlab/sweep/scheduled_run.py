"""A run of a sweep and its current state."""

from __future__ import annotations

import dataclasses
import functools
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from lmlab.config.run_config import RunConfig
from lmlab.design.job import Job
from lmlab.design.run_keys import arm_settings, run_seeds
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.storage.io import hash_json
from lmlab.storage.lock import describe_owner, is_alive
from lmlab.study.sweep_folder import Failure
from lmlab.sweep.slots import Slot

ACTIVE = ("submitted", "running")
OPEN = ("queued", *ACTIVE, "elsewhere")


@dataclasses.dataclass
class ScheduledRun:
    """A run that the driver of a sweep schedules.

    Attributes:
        job: the run in the manifest.
        purposes: what the study uses it for.
        config: its frozen configuration.
        folder: its run folder.
        log: the output of its process.
        state: ``queued``, ``submitted`` (waiting in a cluster's queue), ``running``, ``elsewhere``
            (run by another launch), ``done``, ``diverged``, ``failed`` or ``interrupted``.
        reason: why it failed or was interrupted.
        metric: the metric that the study compares runs by.
        was_finished: whether it had finished before this launch.
        training_flops: FLOPs of its training; the longest run starts first.
        process: its process on this machine, if any.
        slot: the slot of that process.
        started: time of its start, in seconds of :func:`time.monotonic`.
        seconds: how long its job took.
        shares_updates: whether it may start from a checkpoint of another run of the sweep.
        trunk: the run that it starts from; None where it trains all updates.
        branch_step: of the checkpoint.
    """

    job: Job
    purposes: list[str]
    config: RunConfig
    folder: RunFolder
    log: Path
    state: str = "queued"
    reason: str = ""
    metric: str = "loss"
    was_finished: bool = False
    training_flops: int = 0
    process: BaseProcess | None = None
    slot: Slot | None = None
    started: float = 0.0
    seconds: float = 0.0
    shares_updates: bool = False
    trunk: ScheduledRun | None = None
    branch_step: int = 0
    _final_outcome: TrialOutcome | None = None

    @property
    def key(self) -> str:
        """A unique name within the sweep."""
        return f"{self.job.name}#{self.job.number}"

    @property
    def pinned_seeds(self) -> str:
        """The seeds that do not follow the seed of the run, such as ``seeds.init=1``."""
        seeds = self.config.seeds
        named = {"init": seeds.init, "data": seeds.data}
        return ", ".join(
            f"seeds.{name}={seed}" for name, seed in named.items() if seed != self.config.seed
        )

    @property
    def name(self) -> str:
        """The name in messages, with the pinned seeds."""
        return f"{self.job.name} ({self.pinned_seeds})" if self.pinned_seeds else self.job.name

    @functools.cached_property
    def identity(self) -> str:
        """A hash that is equal for jobs that train the same run.

        Without ``reuse``, only jobs of the same name do. Folders cannot be compared instead: before
        the runs exist, runs that differ in a pinned seed get the same folder, and the same run in
        two arms gets two.
        """
        content = self.config.as_dict()
        name = "" if self.config.reuse else self.job.name
        return hash_json([name, run_seeds(content), sorted(arm_settings(content).items())])

    @property
    def is_open(self) -> bool:
        """Whether the state may still change in this launch."""
        return self.state in OPEN

    @property
    def failure(self) -> Failure | None:
        """The failure for the ledger; None unless the run failed."""
        return Failure(self.reason, self.log) if self.state == "failed" else None

    @property
    def recorded_state(self) -> str:
        """The state that reports read: an interrupted run may have none yet."""
        if self.state != "interrupted":
            return self.state
        return str(self.folder.status().get("status", "missing"))

    @property
    def lr(self) -> float | None:
        """Peak learning rate; None where the optimizer has none."""
        if self.job.lr is not None:
            return self.job.lr
        rate = self.config.optim.parameters.get("lr")
        return float(rate) if isinstance(rate, int | float) else None

    def refresh_state(self) -> None:
        """Read the state from the run folder; for runs without a process of this launch."""
        status = self.folder.status().get("status")
        if status in FINISHED:
            self.state, self.reason, self.was_finished = str(status), "", True
        elif is_alive(self.folder.path / "run.lock"):
            self.state, self.reason = "elsewhere", self.describe_owner()
        else:
            self.state, self.reason = "queued", ""

    def describe_owner(self) -> str:
        """Name the process of another launch that trains the run, and what to do about it."""
        return describe_owner(self.folder.path / "run.lock")

    def loss(self) -> float | None:
        """Return the final validation loss; None if unfinished or not finite."""
        return self.outcome().loss

    def outcome(self) -> TrialOutcome:
        """Return the outcome for the study's design; final outcomes are read once."""
        if self.state not in FINISHED:
            return TrialOutcome(self.state)
        if self._final_outcome is None:
            self._final_outcome = outcome_from_losses(
                self.state, [row[self.metric] for row in self.folder.evaluations(self.metric)]
            )
        return self._final_outcome

    def progress(self) -> tuple[float, float | None]:
        """Return the completed fraction of the steps, and the seconds left if known."""
        status = self.folder.status()
        steps = status.get("steps") or 0
        fraction = status.get("step", 0) / steps if steps else 0.0
        if self.state != "running" or not fraction:
            return fraction, None
        seconds = status.get("seconds", time.monotonic() - self.started)
        return fraction, seconds * (1 - fraction) / fraction
