"""Drive a sweep: start the required runs, collect results, start what they require, repeat."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from lmlab.run_folder import FINISHED
from lmlab.storage.lock import PATIENCE_SECONDS, is_alive
from lmlab.sweep.executor import Executor, JobResult
from lmlab.sweep.failure_reason import find_failure_reason
from lmlab.sweep.progress_view import ProgressView
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.scheduled_run import ACTIVE, ScheduledRun
from lmlab.sweep.stop_signals import StopSignals

_POLL_SECONDS = 0.1
_ELSEWHERE_POLL_SECONDS = 2.0
_MAX_LOST_SERVERS = 10


class Driver:
    """Runs every run of a schedule; a failing run does not stop the others.

    Args:
        schedule: the runs that are required so far.
        executor: runs the jobs.
        view: shows the progress.
        signals: signals that stop the sweep.
    """

    def __init__(
        self,
        schedule: RunSchedule,
        executor: Executor,
        view: ProgressView,
        signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    ) -> None:
        self.schedule, self.executor, self.view = schedule, executor, view
        self._signals = StopSignals(signals, on_first=self._announce_stop)
        self._elsewhere_checked = 0.0
        self._lost_servers = 0
        self._stopped_at, self._has_announced_wait = 0.0, False

    def run(self) -> list[ScheduledRun]:
        """Drive the sweep until all required runs have ended or a signal stops it."""
        with self._signals:
            self.schedule.extend()
            while not self.schedule.is_settled:
                self._collect_results()
                self._refresh_elsewhere()
                if self.was_stopped:
                    self.executor.stop(self._active_runs(), kill=self._signals.count > 1)
                    self._announce_wait()
                else:
                    self._start_queued()
                self.view.update(self.schedule.runs)
                if self.was_stopped and (self.executor.outlives_driver or not self._active_runs()):
                    break
                time.sleep(_POLL_SECONDS)
            self.view.update(self.schedule.runs)
        for run in self.schedule.runs:
            if run.is_open:
                run.state, run.reason = "interrupted", self.executor.leave_message
        return self.schedule.runs

    def start_all(self) -> list[ScheduledRun]:
        """Start the runs that the outcomes so far call for, and return without waiting."""
        self.schedule.extend()
        self._start_queued()
        return self.schedule.runs

    @property
    def was_stopped(self) -> bool:
        """Whether a signal stopped the sweep."""
        return self._signals.count > 0

    def _announce_stop(self) -> None:
        self._stopped_at = time.monotonic()
        if self.executor.outlives_driver:
            self.view.print_line(self.executor.leave_message)
        else:
            self.view.print_line(
                "stopping: running jobs save and exit (press Ctrl-C again to kill them)"
            )

    def _announce_wait(self) -> None:
        """Say once, if it takes longer than usual, which processes the stop waits for."""
        waited = time.monotonic() - self._stopped_at
        processes = [
            f"{run.name} (process {run.process.pid})"
            for run in self._active_runs()
            if run.process is not None
        ]
        if waited > PATIENCE_SECONDS and processes and not self._has_announced_wait:
            self._has_announced_wait = True
            self.view.print_line(f"waiting for {', '.join(processes)} to save and exit")

    def _start_queued(self) -> None:
        """Start the longest runs first; equally long ones in the order of the schedule."""
        runs = self.schedule.runs
        queued = [run for run in runs if run.state == "queued"]
        try:
            for run in sorted(queued, key=lambda run: -run.training_flops):
                if not self.executor.has_capacity():
                    break
                if run.state != "queued" or self._is_active(run):
                    continue
                if self.schedule.is_ready(run):
                    self._find_folder(run)
                    run.refresh_state()  # another launch may have run it meanwhile
                    if run.state == "queued":
                        self.executor.start(run, len(runs))
            self.executor.flush()
        except (EOFError, ConnectionError):
            if self.was_stopped:
                return  # the signal also ended the fork server
            self._lost_servers += 1
            if self._lost_servers > _MAX_LOST_SERVERS:
                raise
            self.view.print_line("the process that starts the jobs was killed; starting another")

    def _find_folder(self, run: ScheduledRun) -> None:
        """Find the folder again: another run may have taken the one of the same names since."""
        folder = self.schedule.locate_folder(run.config)
        if folder != run.folder:
            run.folder = folder
            self.schedule.record(run)

    def _is_active(self, run: ScheduledRun) -> bool:
        """Return whether another job trains the same run, or one in the folder of the same name.

        Two arms may be one run, for example at the baseline's learning rate.
        """
        return any(
            other.identity == run.identity or other.folder == run.folder
            for other in self._active_runs()
        )

    def _active_runs(self) -> list[ScheduledRun]:
        return [run for run in self.schedule.runs if run.state in ACTIVE]

    def _collect_results(self) -> None:
        """Apply the results of jobs that have ended, and schedule the runs that they require."""
        has_results = False
        for run, result in self.executor.poll(self._active_runs()):
            run.seconds = time.monotonic() - run.started
            self._apply(result, run)
            has_results = True
        if has_results and not self.was_stopped:
            self.schedule.extend()

    def _apply(self, result: JobResult, run: ScheduledRun) -> None:
        """Set the state of a run whose job has ended, and record it."""
        run.folder = self.schedule.locate_folder(run.config)  # another launch may have moved it
        status = run.folder.status().get("status")
        if status in FINISHED:
            run.state, run.reason = str(status), ""
        elif self.was_stopped and result.state != "elsewhere":
            run.state, run.reason = "interrupted", self.executor.leave_message
        else:
            run.state, run.reason = result.state, result.reason
            if result.state == "failed" and is_alive(run.folder.path / "run.lock"):
                # Taken over while this job was suspended; the new owner decides how it ends.
                run.state, run.reason = "elsewhere", run.describe_owner()
            elif result.state == "failed":
                run.reason = find_failure_reason(run, result)
        self.schedule.record(run)

    def _refresh_elsewhere(self) -> None:
        """Check from time to time whether another launch has finished its runs."""
        if time.monotonic() - self._elsewhere_checked < _ELSEWHERE_POLL_SECONDS:
            return
        self._elsewhere_checked = time.monotonic()
        has_changed = False
        for run in self.schedule.runs:
            if run.state == "elsewhere":
                run.refresh_state()
                has_changed |= run.state != "elsewhere"
        if has_changed and not self.was_stopped:
            self.schedule.extend()
