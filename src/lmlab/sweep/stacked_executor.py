"""A pool that lets runs train as stacks, each in one process; see :mod:`lmlab.runs.stacked`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmlab.config.compose import to_yaml
from lmlab.config.run_config import RunConfig
from lmlab.run_folder import FINISHED
from lmlab.runs.stacked.eligibility import stack_key
from lmlab.storage.io import append_jsonl, atomic_write_text, read_jsonl
from lmlab.storage.lock import is_alive
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import worker_processes
from lmlab.sweep.local_pool import JobResult, LocalPool
from lmlab.sweep.slots import Slot
from lmlab.sweep.sweep_preflight import as_job, beside
from lmlab.sweep.task import Task


class StackingPool(LocalPool):
    """Gathers the tasks that can be started, and starts those that belong together as one process.

    Which runs make up a stack, and in which order, is kept in the sweep's folder: a stack that was
    interrupted goes on as the same one, with the places of those that are done left empty, so that
    its bits are those of an undisturbed one. A run whose stack ended before it goes on alone.

    Args:
        slots: places for processes.
        folder: of the sweep.
        members_of: the most runs of a stack with this one; 1 where it trains alone.
        say: tells a person.
        way: makes processes.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        folder: SweepFolder,
        members_of: Callable[[RunConfig], int],
        say: Callable[[str], None],
        way: Callable[[], Any] = worker_processes.context,
    ) -> None:
        super().__init__(slots, folder, way)
        self.members_of, self.say = members_of, say
        self._gathered: list[Task] = []
        self._jobs = 0
        self._stacked: dict[str, list[Task]] = {}  # what runs, by the name of the first member
        self._alone: set[str] = set()
        self._known = self._read()

    def start(self, task: Task, jobs: int) -> None:
        """Note the task; it starts with others of its kind, or alone, by :meth:`flush`."""
        if task.key in self._alone or self.members_of(task.config) == 1:
            super().start(task, jobs)
            return
        task.state = "running"
        self._gathered.append(task)
        self._jobs = jobs

    def flush(self) -> None:
        """Start as many stacks as there is room for; the rest of what was gathered is queued."""
        gathered, self._gathered = self._gathered, []
        for task in gathered:
            task.state = "queued"
        for names, tasks in self._stacks_of(gathered):
            if not self._free:
                return
            if len(names) == 1:
                super().start(tasks[0], self._jobs)
            else:
                self._start_stack(names, tasks)

    def ended(self, running: Sequence[Task]) -> Iterator[tuple[Task, JobResult]]:
        """The runs that have ended: alone, or with the process of their stack."""
        together = {task.key for tasks in self._stacked.values() for task in tasks}
        yield from super().ended([task for task in running if task.key not in together])
        for name, tasks in list(self._stacked.items()):
            process, slot = tasks[0].process, tasks[0].slot
            assert process is not None and slot is not None
            if process.exitcode is None:
                continue
            process.join()
            self._free.append(slot)
            del self._stacked[name]
            ends = [(task, self._judge(task, process.exitcode)) for task in tasks]
            left = [task.job.name for task, end in ends if end.state == "queued"]
            if left and process.exitcode < 128:
                how = worker_processes.how_it_ended(process.exitcode)
                self.say(
                    f"a stack {how}; these go on alone: {', '.join(left)}; log: {tasks[0].log}"
                )
            for task, end in ends:
                task.process, task.log = None, self.folder.job_file(task.job, "log")
                yield task, end

    def _judge(self, task: Task, code: int) -> JobResult:
        """What a run comes to that is not done when the process of its stack ends."""
        status = task.run.status().get("status")
        how = worker_processes.how_it_ended(code)
        if status in FINISHED or status == "failed":  # its folder tells, and the driver reads it
            return JobResult("failed", how)
        if is_alive(task.run.path / "run.lock"):
            return JobResult("elsewhere")
        self._alone.add(task.key)
        return JobResult("queued")

    def _start_stack(self, names: Sequence[str], tasks: Sequence[Task]) -> None:
        slot = self._take_slot()
        others = beside(slot, self._slots, self._jobs)
        for task in tasks:
            atomic_write_text(
                self.folder.job_file(task.job, "yaml"), to_yaml(as_job(task.config, slot, others))
            )
        jobs = self.folder.path / "jobs"
        process = worker_processes.start(
            self._context(), [jobs / name for name in names], tasks[0].log, slot
        )
        for task in tasks:
            task.process, task.slot, task.log = process, slot, tasks[0].log
            task.state, task.started = "running", time.monotonic()
        self._stacked[names[0]] = list(tasks)

    def _stacks_of(self, tasks: Sequence[Task]) -> Iterator[tuple[list[str], list[Task]]]:
        """What belongs together: the files of all places, and the tasks that are still to run."""
        by_name = {self._name(task): task for task in tasks}
        fresh: dict[str, list[Task]] = {}
        while by_name:
            name, task = next(iter(by_name.items()))
            names = self._known.get((name, self.members_of(task.config)))
            if names is not None:
                yield names, [by_name.pop(other) for other in names if other in by_name]
                continue
            fresh.setdefault(stack_key(task.config), []).append(by_name.pop(name))
        for alike in fresh.values():
            # As many stacks as keep all slots busy, none larger than allowed, alike in size.
            most = self.members_of(alike[0].config)
            number = max(-(-len(alike) // most), min(len(self._slots), len(alike) // 2), 1)
            for index in range(number):
                own = alike[index::number]
                names = [self._name(task) for task in own]
                if len(own) > 1:
                    self._keep(names, most)
                yield names, own

    def _name(self, task: Task) -> str:
        return self.folder.job_file(task.job, "yaml").name

    def _read(self) -> dict[tuple[str, int], list[str]]:
        """The stacks that were formed before, by a member's file and the most runs of a stack."""
        known: dict[tuple[str, int], list[str]] = {}
        for row in read_jsonl(self.folder.path / "stacks.jsonl"):
            known |= {(name, row["most"]): row["files"] for name in row["files"]}
        return known

    def _keep(self, names: list[str], most: int) -> None:
        append_jsonl(self.folder.path / "stacks.jsonl", {"most": most, "files": names})
        self._known |= {(name, most): names for name in names}
