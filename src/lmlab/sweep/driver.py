"""Carries out a manifest: starts what is needed, waits, looks what is needed next, reports."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmlab.build.identity import run_identity
from lmlab.build.run_spec import resolve
from lmlab.config.compose import from_dict
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.design.manifest import Job, Manifest
from lmlab.run_folder import FINISHED
from lmlab.runs.execute import locate
from lmlab.runtime.device import Device
from lmlab.runtime.signals import EarlySignalHandler
from lmlab.study.sweep_folder import SweepFolder
from lmlab.study.verdicts import undecided_arms
from lmlab.sweep.arm_costs import TextsByConfig
from lmlab.sweep.local_pool import JobResult, Pool
from lmlab.sweep.progress_view import View
from lmlab.sweep.task import PLACED, Task
from lmlab.sweep.threads import run_flops

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 2.0


class Driver:
    """Brings every run of a manifest to its end, whatever becomes of single ones.

    Args:
        manifest: what was submitted.
        folder: of the sweep.
        texts: of the configurations, prepared.
        device_of: what a configuration computes with, where its job runs.
        pool: runs the jobs.
        view: shows the tasks.
        signals: that stop the sweep.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: SweepFolder,
        texts: TextsByConfig,
        device_of: Callable[[RunConfig], Device],
        pool: Pool,
        view: View,
        signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    ) -> None:
        self.manifest, self.folder, self.texts = manifest, folder, texts
        self.device_of, self.pool, self.view = device_of, pool, view
        self.tasks: dict[Job, Task] = {}
        self._caught = signals
        self._noted = {entry.job: set(entry.purposes) for entry in folder.entries()}
        self._undecided: frozenset[str] = frozenset()
        self._signals = 0
        self._looked = 0.0

    def run(self) -> list[Task]:
        """Run until nothing more is needed or Ctrl-C; the tasks, in the order of their need."""
        with self._listening():
            self._add_wanted()
            while any(task.is_open for task in self.tasks.values()):
                self._collect()
                self._look_elsewhere()
                if self._signals:
                    self.pool.stop(self._running(), insist=self._signals > 1)
                else:
                    self._start_queued()
                self.view.update(list(self.tasks.values()))
                if self._signals and (self.pool.outlives or not self._running()):
                    break
                time.sleep(_POLL_SECONDS)
            self.view.update(list(self.tasks.values()))
        for task in self.tasks.values():
            if task.is_open:
                task.state, task.reason = "interrupted", self.pool.left
        return list(self.tasks.values())

    def start_all(self) -> list[Task]:
        """Start what the results so far call for, and leave it to itself; the tasks."""
        self._add_wanted()
        self._start_queued()
        return list(self.tasks.values())

    @property
    def was_stopped(self) -> bool:
        """Whether a signal ended the sweep."""
        return self._signals > 0

    def _add_wanted(self) -> None:
        """Add the runs that the results so far call for."""
        while True:
            outcomes = {job: task.outcome() for job, task in self.tasks.items()}
            wanted = self.manifest.required_jobs(outcomes, self._undecided)
            fresh = [job for job in wanted if job not in self.tasks]
            for job, purposes in wanted.items():
                if job in self.tasks:
                    self.tasks[job].purposes = purposes
                else:
                    self.tasks[job] = self._task(job, purposes)
                if not set(purposes) <= self._noted.get(job, set()):
                    self._noted[job] = set(purposes)
                    self._note(self.tasks[job])
            if fresh:
                continue  # some may be finished already and call for more
            if self._is_settled() and self._take_second_look():
                continue
            return

    def _is_settled(self) -> bool:
        return not any(task.is_open for task in self.tasks.values())

    def _take_second_look(self) -> bool:
        """Give more seeds to the arms that the first look left open; once, by the fixed rule."""
        design = self.manifest.comparison
        if design is None or not design.extra_seeds or self._undecided:
            return False
        outcomes = {job: task.outcome() for job, task in self.tasks.items()}
        self._undecided = undecided_arms(self.manifest, outcomes)
        if self._undecided:
            self.view.say(f"second look, {design.extra_seeds} more seeds each: "
                          f"{', '.join(sorted(self._undecided))}")  # fmt: skip
        return bool(self._undecided)

    def _task(self, job: Job, purposes: list[str]) -> Task:
        config = from_dict(self.manifest.job_config(job))
        run, _ = locate(resolve(config), self._identity(config))
        task = Task(
            job, purposes, config, run, self.folder.job_file(job, "log"),
            metric=self.manifest.metric, flops=run_flops(config.as_dict()),
        )  # fmt: skip
        task.look()
        if task.state not in FINISHED:
            self.pool.attach(task)
        return task

    def _identity(self, config: RunConfig) -> dict[str, Any]:
        return run_identity(
            identity_settings(config), self.texts.of(config), self.device_of(config)
        )

    def _start_queued(self) -> None:
        """Start the longest runs first, and those of one length in the order of their need."""
        queued = [task for task in self.tasks.values() if task.state == "queued"]
        try:
            for task in sorted(queued, key=lambda task: -task.flops):
                if not self.pool.has_room():
                    break
                if task.state == "queued" and not self._shares_a_folder(task):
                    task.look()  # another launch, or a twin, may have run it meanwhile
                    if task.state == "queued":
                        self.pool.start(task, len(self.tasks))
            self.pool.flush()
        except (EOFError, ConnectionError):
            if not self._signals:  # which also ended the server that jobs are forked from
                raise

    def _shares_a_folder(self, task: Task) -> bool:
        """Whether a running task writes the very same run, as where a sweep names it twice."""
        return any(other.run == task.run for other in self._running())

    def _running(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.state in PLACED]

    def _collect(self) -> None:
        """Take the results of jobs that have ended."""
        ended = False
        for task, end in self.pool.ended(self._running()):
            task.seconds = time.monotonic() - task.started
            self._judge(task, end)
            ended = True
        if ended and not self._signals:
            self._add_wanted()

    def _judge(self, task: Task, end: JobResult) -> None:
        # Another launch may have taken the folder's name.
        task.run, _ = locate(resolve(task.config), self._identity(task.config))
        status = task.run.status()
        if status.get("status") in FINISHED:
            task.state, task.reason = str(status["status"]), ""
        elif self._signals and end.state != "elsewhere":
            task.state, task.reason = "interrupted", self.pool.left
        else:
            task.state, task.reason = end.state, end.reason
            if end.state == "failed":
                task.reason = self._reason(task, end)
        self._note(task)

    def _note(self, task: Task) -> None:
        self.folder.add_entry(task.job, task.purposes, task.run, task.failure)

    def _reason(self, task: Task, end: JobResult) -> str:
        """Why a run failed, in one line, and where to read more."""
        told = str(task.run.status().get("reason", "")).strip().splitlines()
        if told and task.run.status().get("status") == "failed":
            if task.run.log.exists():
                task.log = task.run.log
            last = _last_message(told)
            return last if len(last) < 300 else last[:300]
        printed = _tail(task.log)
        if end.code == 2 and printed:  # a mistake in the configuration or the data
            return printed
        if end.code is not None and end.code > 0 and printed:
            return f"{end.reason}; its log ends: {printed[:300]}"
        return end.reason

    def _look_elsewhere(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        changed = False
        for task in self.tasks.values():
            if task.state == "elsewhere":
                task.look()
                changed |= task.state != "elsewhere"
        if changed and not self._signals:
            self._add_wanted()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def note(number: int, frame: object) -> None:
            self._signals += 1
            told = "stopping: running jobs save and end (once more to kill them)"
            if self._signals == 1:
                self.view.say(self.pool.left if self.pool.outlives else told)

        former: dict[int, Callable[..., Any] | int | None] = {}
        for number in self._caught:
            former[number] = early = signal.signal(number, note)
            if isinstance(early, EarlySignalHandler) and early.received:
                note(number, None)
        try:
            yield
        finally:
            for caught, handler in former.items():
                signal.signal(caught, handler)


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return _last_message(lines).removeprefix("error: ")


def _last_message(lines: list[str]) -> str:
    """The last line; where that is the help of a message, the message and its help in one line."""
    if len(lines) > 1 and lines[-1].startswith("help: "):
        return f"{lines[-2]}; {lines[-1].removeprefix('help: ')}"
    return lines[-1] if lines else ""
