"""Run several runs as one stack in each process; see :mod:`lmlab.runs.stacked`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmlab.config.compose import to_yaml
from lmlab.config.run_config import RunConfig
from lmlab.run_folder import FINISHED
from lmlab.storage.io import atomic_write_text
from lmlab.storage.lock import is_alive
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import worker_processes
from lmlab.sweep.executor import JobResult
from lmlab.sweep.local_executor import LocalExecutor
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.slots import Slot, config_in_slot, count_co_runners
from lmlab.sweep.stack_groups import StackGroups


class StackedExecutor(LocalExecutor):
    """Collects the runs that can start, and starts runs of the same shape as one process.

    A run that is unfinished when the process of its stack ends continues by itself.

    Args:
        slots: slots for processes.
        folder: folder of the sweep.
        max_members: returns the most runs of a stack that includes a configuration; 1 for a run
            that trains by itself.
        print_line: prints a message.
        make_context: returns the multiprocessing context that starts the processes.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        folder: SweepFolder,
        max_members: Callable[[RunConfig], int],
        print_line: Callable[[str], None],
        make_context: Callable[[], Any] = worker_processes.make_context,
    ) -> None:
        super().__init__(slots, folder, make_context)
        self.max_members, self.print_line = max_members, print_line
        self._groups = StackGroups(folder, max_members, min_stacks=len(slots))
        self._collected: list[ScheduledRun] = []
        self._total_runs = 0
        self._running_stacks: dict[str, list[ScheduledRun]] = {}  # by the first member's file
        self._unstacked: set[str] = set()  # keys of runs that continue by themselves

    def start(self, run: ScheduledRun, total_runs: int) -> None:
        """Collect the run for the next :meth:`flush`, or start it if it trains by itself."""
        if run.key in self._unstacked or self.max_members(run.config) == 1:
            super().start(run, total_runs)
            return
        run.state = "running"
        self._collected.append(run)
        self._total_runs = total_runs

    def flush(self) -> None:
        """Start as many stacks as slots are free; return the other runs to the queue."""
        collected, self._collected = self._collected, []
        for run in collected:
            run.state = "queued"
        for names, runs in self._groups.group(collected):
            if not self._free_slots:
                return
            if len(names) == 1:
                super().start(runs[0], self._total_runs)
            else:
                self._start_stack(names, runs)

    def poll(self, active: Sequence[ScheduledRun]) -> Iterator[tuple[ScheduledRun, JobResult]]:
        """Yield the runs whose processes, their own or that of their stack, have ended."""
        stacked = {run.key for runs in self._running_stacks.values() for run in runs}
        yield from super().poll([run for run in active if run.key not in stacked])
        for name, runs in list(self._running_stacks.items()):
            process, slot = runs[0].process, runs[0].slot
            assert process is not None and slot is not None
            if process.exitcode is None:
                continue
            process.join()
            self._free_slots.append(slot)
            del self._running_stacks[name]
            results = [(run, self._member_result(run, process.exitcode)) for run in runs]
            unfinished = [run.job.name for run, result in results if result.state == "queued"]
            if unfinished and process.exitcode < 128:
                self.print_line(
                    f"stack {worker_processes.describe_exit(process.exitcode)}; these runs "
                    f"continue separately: {', '.join(unfinished)}; log: {runs[0].log}"
                )
            for run, result in results:
                run.process, run.log = None, self.folder.job_file(run.job, "log")
                yield run, result

    def _member_result(self, run: ScheduledRun, exit_code: int) -> JobResult:
        """Return the result of a member when the process of its stack has ended."""
        status = run.folder.status().get("status")
        if status in FINISHED or status == "failed":  # the driver reads the run folder
            return JobResult("failed", worker_processes.describe_exit(exit_code))
        if is_alive(run.folder.path / "run.lock"):
            return JobResult("elsewhere")
        self._unstacked.add(run.key)
        return JobResult("queued")

    def _start_stack(self, names: Sequence[str], runs: Sequence[ScheduledRun]) -> None:
        slot = self._free_slots.pop(0)
        co_runners = count_co_runners(slot, self._slots, self._total_runs)
        for run in runs:
            config = config_in_slot(run.config, slot, co_runners)
            atomic_write_text(self.folder.job_file(run.job, "yaml"), to_yaml(config))
        config_files = [self.folder.path / "jobs" / name for name in names]
        log = runs[0].log
        process = worker_processes.start(self._get_context(), config_files, log, slot)
        for run in runs:
            run.process, run.slot, run.log = process, slot, log
            run.state, run.started = "running", time.monotonic()
        self._running_stacks[names[0]] = list(runs)
