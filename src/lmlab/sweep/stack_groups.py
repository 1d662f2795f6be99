"""Group the runs of a sweep into stacks, and keep each group for reruns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lmlab.config.run_config import RunConfig
from lmlab.runs.stacked.eligibility import stack_key
from lmlab.storage.fields import rows_with_fields, warn_once
from lmlab.storage.io import append_jsonl, scan_jsonl
from lmlab.storage.lock import Lock
from lmlab.storage.record_fields import STACK
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.scheduled_run import ScheduledRun


class StackGroups:
    """The stacks of a sweep, kept in its ``stacks.jsonl``.

    The members of a stack and their order are kept so that an interrupted stack resumes as the same
    one: members that are done leave their positions empty, and the bits of the others are those of
    an undisturbed stack.

    Args:
        folder: folder of the sweep.
        max_members: returns the most runs of a stack that includes a configuration.
        min_stacks: form at least this many stacks if there are enough runs.
    """

    def __init__(
        self, folder: SweepFolder, max_members: Callable[[RunConfig], int], min_stacks: int
    ) -> None:
        self.folder, self.max_members, self.min_stacks = folder, max_members, min_stacks
        self._path = folder.path / "stacks.jsonl"
        # by the configuration file of a member and the most members of a stack
        self._kept: dict[tuple[str, int], list[str]] = {}

    def group(self, runs: Sequence[ScheduledRun]) -> Iterator[tuple[list[str], list[ScheduledRun]]]:
        """Yield stacks: the configuration files of all members, and the runs still to train.

        Groups from earlier launches, and from others that run now, come first. A new group is kept
        when it is yielded. Runs that another launch groups at the same time are left out.
        """
        self._read()
        by_name = {self._file_name(run): run for run in runs}
        ungrouped: dict[str, list[ScheduledRun]] = {}
        while by_name:
            name, run = next(iter(by_name.items()))
            names = self._kept.get((name, self.max_members(run.config)))
            if names is not None:
                yield names, [by_name.pop(other) for other in names if other in by_name]
                continue
            ungrouped.setdefault(stack_key(run.config), []).append(by_name.pop(name))
        for stackable in ungrouped.values():
            yield from self._new_stacks(stackable)

    def _new_stacks(
        self, runs: Sequence[ScheduledRun]
    ) -> Iterator[tuple[list[str], list[ScheduledRun]]]:
        """Form as many stacks as keep all slots busy, of nearly equal size."""
        limit = self.max_members(runs[0].config)
        number = max(-(-len(runs) // limit), min(self.min_stacks, len(runs) // 2), 1)
        for index in range(number):
            members = list(runs[index::number])
            names = [self._file_name(run) for run in members]
            if len(members) == 1 or self._keep(names, limit):
                yield names, members

    def _keep(self, names: list[str], limit: int) -> bool:
        """Keep a new group; return False if another launch has just grouped one of its runs."""
        with Lock(self._path.with_suffix(".lock")):
            self._read()
            if any((name, limit) in self._kept for name in names):
                return False
            append_jsonl(self._path, {"most": limit, "files": names})
            self._kept |= {(name, limit): names for name in names}
            return True

    def _read(self) -> None:
        rows, num_damaged = scan_jsonl(self._path)
        if num_damaged:
            warn_once(f"{self._path}: {num_damaged} of its rows cannot be read")
        for row in rows_with_fields(self._path, rows, STACK, tuple(STACK)):
            for name in row["files"]:
                self._kept.setdefault((name, row["most"]), row["files"])

    def _file_name(self, run: ScheduledRun) -> str:
        return self.folder.job_file(run.job, "yaml").name
