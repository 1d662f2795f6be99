"""Carries out a manifest: starts what is needed, waits, looks what is needed next, reports."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmlab import assemble
from lmlab.config.compose import Config, thaw, to_yaml
from lmlab.design.manifest import Job, Manifest
from lmlab.io import atomic_write_text
from lmlab.run import LOCKED_EXIT_CODE, locate
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.study.ledger import SweepFolder
from lmlab.study.verdicts import undecided_arms
from lmlab.sweep import workers
from lmlab.sweep.facts import TextsByConfig
from lmlab.sweep.placement import Slot
from lmlab.sweep.preflight import as_job, beside
from lmlab.sweep.task import Task
from lmlab.sweep.view import View

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 2.0


class Driver:
    """Brings every run of a manifest to its end, whatever becomes of single ones.

    Args:
        manifest: what was submitted.
        folder: of the sweep.
        texts: of the configurations, prepared.
        slots: places for jobs.
        view: shows the tasks.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: SweepFolder,
        texts: TextsByConfig,
        slots: list[Slot],
        view: View,
    ) -> None:
        self.manifest, self.folder, self.texts = manifest, folder, texts
        self.view = view
        self.tasks: dict[Job, Task] = {}
        self._slots, self._free = slots, list(slots)
        self._way: Any = None
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
                    self._stop()
                else:
                    self._start_queued()
                self.view.update(list(self.tasks.values()))
                if self._signals and not self._running():
                    break
                time.sleep(_POLL_SECONDS)
            self.view.update(list(self.tasks.values()))
        for task in self.tasks.values():
            if task.is_open:
                task.state, task.reason = "interrupted", "the sweep was stopped; rerun goes on"
        return list(self.tasks.values())

    @property
    def was_stopped(self) -> bool:
        """Whether a signal ended the sweep."""
        return self._signals > 0

    def _add_wanted(self) -> None:
        """Add the runs that the results so far call for."""
        while True:
            outcomes = {job: task.outcome() for job, task in self.tasks.items()}
            wanted = self.manifest.jobs(outcomes, self._undecided)
            fresh = [job for job in wanted if job not in self.tasks]
            for job, purposes in wanted.items():
                if job in self.tasks:
                    self.tasks[job].purposes = purposes
                else:
                    self.tasks[job] = self._task(job, purposes)
                if not set(purposes) <= self._noted.get(job, set()):
                    self._noted[job] = set(purposes)
                    self.folder.note(job, purposes, self.tasks[job].run)
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
        config = thaw(self.manifest.config_of(job))
        run = self._run_of(config)
        task = Task(
            job, purposes, config, run, self.folder.job_file(job, "log"),
            metric=self.manifest.metric,
        )  # fmt: skip
        task.look()
        return task

    def _start_queued(self) -> None:
        for task in self.tasks.values():
            if not self._free:
                return
            if task.state == "queued" and not self._shares_a_folder(task):
                self._start(task)

    def _shares_a_folder(self, task: Task) -> bool:
        """Whether a running task writes the very same run, as where a sweep names it twice."""
        return any(other.run == task.run for other in self._running())

    def _start(self, task: Task) -> None:
        task.look()  # another launch, or a twin, may have run it meanwhile
        if task.state != "queued":
            return
        if self._way is None:
            self._way = workers.context()
        slot = self._free.pop(0)
        others = beside(slot, self._slots, len(self.tasks))
        frozen = self.folder.job_file(task.job, "yaml")
        atomic_write_text(frozen, to_yaml(as_job(task.config, slot, others)))
        task.process = workers.start(self._way, frozen, task.log, dict(slot.environment))
        task.slot, task.state, task.started = slot, "running", time.monotonic()

    def _running(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.state == "running"]

    def _collect(self) -> None:
        """Take the results of processes that have ended."""
        ended = False
        for task in self._running():
            assert task.process is not None
            if task.process.exitcode is None:
                continue
            code = task.process.exitcode
            task.process.join()
            assert task.slot is not None
            self._free.append(task.slot)
            task.seconds = time.monotonic() - task.started
            self._judge(task, code)
            ended = True
        if ended and not self._signals:
            self._add_wanted()

    def _run_of(self, config: Config) -> RunFolder:
        device = assemble.build_device(config)
        run, _ = locate(config, assemble.identity(config, self.texts.of(config), device))
        return run

    def _judge(self, task: Task, code: int) -> None:
        task.process = None
        task.run = self._run_of(task.config)  # another launch may have taken the name
        self.folder.note(task.job, task.purposes, task.run)
        status = task.run.status()
        if status.get("status") in FINISHED:
            task.state = str(status["status"])
        elif code == LOCKED_EXIT_CODE:
            task.state = "elsewhere"
        elif self._signals:
            task.state, task.reason = "interrupted", "the sweep was stopped; rerun goes on"
        else:
            task.state = "failed"
            task.reason = self._reason(task, code)

    def _reason(self, task: Task, code: int) -> str:
        """Why a run failed, in one line, and where to read more."""
        told = str(task.run.status().get("reason", "")).strip().splitlines()
        if told and task.run.status().get("status") == "failed":
            if task.run.log.exists():
                task.log = task.run.log
            last = told[-1]
            return last if len(last) < 300 else last[:300]
        printed = _tail(task.log)
        if code == 2 and printed:  # a mistake in the configuration or the data
            return printed
        return workers.how_it_ended(code)

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

    def _stop(self) -> None:
        """Ask the jobs to save and end; kill them where a person insists."""
        for task in self._running():
            assert task.process is not None
            if self._signals > 1:
                task.process.kill()
            elif not task.reason:
                task.reason = "stopping"
                task.process.terminate()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def note(number: int, frame: object) -> None:
            self._signals += 1
            told = "stopping: running jobs save and end (once more to kill them)"
            if self._signals == 1:
                self.view.say(told)

        former: dict[int, Callable[..., Any] | int | None] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            former[number] = signal.signal(number, note)
        try:
            yield
        finally:
            for caught, handler in former.items():
                signal.signal(caught, handler)


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].removeprefix("error: ") if lines else ""
