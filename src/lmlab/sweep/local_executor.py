"""Run the jobs of a sweep as processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmlab.config.compose import to_yaml
from lmlab.errors import LockedError
from lmlab.storage.io import atomic_write_text
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import worker_processes
from lmlab.sweep.executor import JobResult
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slots import Slot, config_in_slot, count_co_runners


class LocalExecutor:
    """One process per job, at most one job per slot; implements :class:`Executor`.

    Args:
        slots: slots of this machine.
        folder: folder of the sweep.
        make_context: returns the multiprocessing context that starts the processes.
    """

    outlives_driver = False
    leave_message = "the sweep was stopped; rerun the command to resume"

    def __init__(
        self,
        slots: Sequence[Slot],
        folder: SweepFolder,
        make_context: Callable[[], Any] = worker_processes.make_context,
    ) -> None:
        self.folder, self._slots, self._free_slots = folder, list(slots), list(slots)
        self._make_context, self._context = make_context, None

    def attach(self, run: ScheduledRun) -> bool:
        """Return False: local jobs end with their driver."""
        return False

    def has_capacity(self) -> bool:
        """Return whether a slot is free."""
        return bool(self._free_slots)

    def start(self, run: ScheduledRun, total_runs: int) -> None:
        """Start the run's process in the first free slot."""
        slot = self._free_slots[0]
        config_file = self.folder.job_file(run.job, "yaml")
        co_runners = count_co_runners(slot, self._slots, total_runs)
        atomic_write_text(config_file, to_yaml(config_in_slot(run.config, slot, co_runners)))
        run.process = worker_processes.start(self._get_context(), [config_file], run.log, slot)
        del self._free_slots[0]
        run.slot, run.state, run.started = slot, "running", time.monotonic()
        run.reason = ""

    def _get_context(self) -> Any:
        if self._context is None:
            self._context = self._make_context()
        return self._context

    def flush(self) -> None:
        """Do nothing: :meth:`start` starts processes at once."""

    def poll(self, active: Sequence[ScheduledRun]) -> Iterator[tuple[ScheduledRun, JobResult]]:
        """Yield the runs whose processes have ended."""
        for run in active:
            assert run.process is not None
            assert run.slot is not None
            code = run.process.exitcode
            if code is None:
                continue
            run.process.join()
            self._free_slots.append(run.slot)
            run.process = None
            if code == LockedError.exit_code:  # another process trains the run, so none failed
                yield run, JobResult("elsewhere", run.describe_owner(), code)
            else:
                yield run, JobResult("failed", worker_processes.describe_exit(code), code)

    def stop(self, active: Sequence[ScheduledRun], kill: bool) -> None:
        """Terminate the processes, which then save and exit, or kill them."""
        for run in active:
            assert run.process is not None
            if kill:
                run.process.kill()
            elif not run.reason:
                run.reason = "stopping"
                run.process.terminate()
