"""Run several runs as one stack in each process; see :mod:`lmlab.runs.stacked`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmlab.config.compose import to_yaml
from lmlab.config.run_config import RunConfig
from lmlab.errors import LockedError
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
from lmlab.training.checkpoint_files import list_steps

_MAX_KILLS = 3  # of a stack without a new checkpoint


@dataclasses.dataclass(frozen=True)
class _Kills:
    """How often a stack was killed since its runs had these checkpoints."""

    saved: list[list[int]]
    number: int = 0


class StackedExecutor(LocalExecutor):
    """Collects the runs that can start, and starts runs of the same shape as one process.

    A stack whose process is killed continues as a stack. After any other end, the runs that are
    unfinished continue by themselves.

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
        self._kills: dict[str, _Kills] = {}  # by the first member's file
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
            unfinished = [run for run, result in results if result.state == "queued"]
            if unfinished:
                self._decide_how_to_continue(name, runs, unfinished, process.exitcode)
            for run, result in results:
                run.process, run.log = None, self.folder.job_file(run.job, "log")
                yield run, result

    def _member_result(self, run: ScheduledRun, exit_code: int) -> JobResult:
        """Return the result of a member when the process of its stack has ended."""
        status = run.folder.status().get("status")
        if status in FINISHED or status == "failed":  # the driver reads the run folder
            return JobResult("failed", worker_processes.describe_exit(exit_code))
        if is_alive(run.folder.path / "run.lock"):
            return JobResult("elsewhere", run.describe_owner())
        return JobResult("queued")

    def _decide_how_to_continue(
        self,
        name: str,
        runs: Sequence[ScheduledRun],
        unfinished: Sequence[ScheduledRun],
        exit_code: int,
    ) -> None:
        """Let a stack that was killed continue as one; separate the runs after other failures.

        A signal comes from outside, so no run of the stack is at fault, and only the same stack
        gives bit-identical results. A stack that is killed repeatedly without reaching its next
        checkpoint may need more memory than there is.
        """
        if exit_code == LockedError.exit_code:
            return  # another launch trained the runs, and has ended: they continue as a stack
        was_killed = exit_code < 0 or exit_code > 128
        saved = [list_steps(run.folder.checkpoints, "step") for run in runs]
        kills = self._kills.get(name)
        if kills is None or kills.saved != saved:
            kills = _Kills(saved)
        self._kills[name] = kills = dataclasses.replace(kills, number=kills.number + 1)
        stays_stacked = was_killed and kills.number < _MAX_KILLS
        how = "as a stack" if stays_stacked else "separately"
        if not stays_stacked:
            self._unstacked |= {run.key for run in unfinished}
        self.print_line(
            f"stack {worker_processes.describe_exit(exit_code)}; these runs continue {how}: "
            f"{', '.join(run.job.name for run in unfinished)}; log: {runs[0].log}"
        )

    def _start_stack(self, names: Sequence[str], runs: Sequence[ScheduledRun]) -> None:
        slot = self._free_slots[0]
        co_runners = count_co_runners(slot, self._slots, self._total_runs)
        for run in runs:
            config = config_in_slot(run.config, slot, co_runners)
            atomic_write_text(self.folder.job_file(run.job, "yaml"), to_yaml(config))
        config_files = [self.folder.path / "jobs" / name for name in names]
        log = runs[0].log
        process = worker_processes.start(self._get_context(), config_files, log, slot)
        del self._free_slots[0]
        for run in runs:
            run.process, run.slot, run.log = process, slot, log
            run.state, run.started, run.reason = "running", time.monotonic(), ""
        self._running_stacks[names[0]] = list(runs)
