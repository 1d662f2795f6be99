"""Where the jobs of a sweep run, as its driver sees it; and the pool of this machine's slots."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from lmlab.config.compose import to_yaml
from lmlab.errors import LockedError
from lmlab.storage.io import atomic_write_text
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import worker_processes
from lmlab.sweep.slots import Slot
from lmlab.sweep.sweep_preflight import as_job, beside
from lmlab.sweep.task import Task


@dataclasses.dataclass(frozen=True)
class JobResult:
    """How a job ended whose run may not be finished.

    Attributes:
        state: of the task, unless its run says ``done`` or ``diverged``: ``failed``,
            ``interrupted``, ``elsewhere``, or ``queued`` to start it again.
        reason: in one line; read only where the run's own files tell none.
        code: the exit code of the process; None where nobody knows it.
    """

    state: str
    reason: str = ""
    code: int | None = None


class Pool(Protocol):
    """Starts jobs and tells how they ended.

    Attributes:
        outlives: whether jobs go on when the driver leaves.
        left: what a person is told of a job that is still open when the driver leaves.
    """

    outlives: bool
    left: str

    def attach(self, task: Task) -> bool:
        """Take up a job that an earlier launch started; False where there is none."""
        ...

    def has_room(self) -> bool:
        """Whether another job can be started now."""
        ...

    def start(self, task: Task, jobs: int) -> None:
        """Start a job, one of ``jobs`` in the sweep; its state is no longer ``queued``."""
        ...

    def flush(self) -> None:
        """Hand over what :meth:`start` gathered."""
        ...

    def ended(self, running: Sequence[Task]) -> Iterator[tuple[Task, JobResult]]:
        """The jobs that have ended since the last call."""
        ...

    def stop(self, running: Sequence[Task], insist: bool) -> None:
        """Ask the jobs to save and end; kill them where a person insists."""
        ...


class LocalPool:
    """A process a job, as many at a time as there are slots.

    Args:
        slots: places for jobs.
        folder: of the sweep.
        way: makes processes; by default :func:`lmlab.sweep.worker_processes.context`.
    """

    outlives = False
    left = "the sweep was stopped; rerun goes on"

    def __init__(
        self,
        slots: Sequence[Slot],
        folder: SweepFolder,
        way: Callable[[], Any] = worker_processes.context,
    ) -> None:
        self.folder, self._slots, self._free = folder, list(slots), list(slots)
        self._make_way, self._way = way, None

    def attach(self, task: Task) -> bool:
        """False: jobs of this machine end with their driver."""
        return False

    def has_room(self) -> bool:
        """Whether a slot is free."""
        return bool(self._free)

    def start(self, task: Task, jobs: int) -> None:
        """Start the job's process in the first free slot."""
        slot = self._take_slot()
        frozen = self.folder.job_file(task.job, "yaml")
        others = beside(slot, self._slots, jobs)
        atomic_write_text(frozen, to_yaml(as_job(task.config, slot, others)))
        task.process = worker_processes.start(self._context(), [frozen], task.log, slot)
        task.slot, task.state, task.started = slot, "running", time.monotonic()

    def _take_slot(self) -> Slot:
        return self._free.pop(0)

    def _context(self) -> Any:
        if self._way is None:
            self._way = self._make_way()
        return self._way

    def flush(self) -> None:
        """Nothing is gathered here."""

    def ended(self, running: Sequence[Task]) -> Iterator[tuple[Task, JobResult]]:
        """The jobs whose processes have ended."""
        for task in running:
            assert task.process is not None
            assert task.slot is not None
            code = task.process.exitcode
            if code is None:
                continue
            task.process.join()
            self._free.append(task.slot)
            task.process = None
            state = "elsewhere" if code == LockedError.exit_code else "failed"
            yield task, JobResult(state, worker_processes.how_it_ended(code), code)

    def stop(self, running: Sequence[Task], insist: bool) -> None:
        """Ask the processes to end, or kill them."""
        for task in running:
            assert task.process is not None
            if insist:
                task.process.kill()
            elif not task.reason:
                task.reason = "stopping"
                task.process.terminate()
