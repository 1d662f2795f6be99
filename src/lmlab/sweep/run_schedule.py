"""The runs that a manifest requires so far, and their rows in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlab.build.identity import run_identity
from lmlab.build.run_spec import resolve
from lmlab.config.compose import from_dict
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import format_count
from lmlab.design.job import Job, Outcomes
from lmlab.design.ladder_runs import is_complete_below
from lmlab.design.manifest import Manifest
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.runs.find_run import different_code, locate, note_other_code
from lmlab.runtime.device import Device
from lmlab.study.sweep_folder import SweepFolder
from lmlab.study.verdicts import undecided_arms
from lmlab.study.waves import UNFINISHED, follow_waves
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.shared_trunks import SharedTrunks
from lmlab.sweep.threads import training_flops


class RunSchedule:
    """Extends the runs of a sweep as outcomes arrive, and records them in its folder.

    Args:
        manifest: the submitted study or sweep.
        folder: folder of the sweep.
        data: prepared texts of the configurations.
        device_of: returns the device that a configuration's job computes on.
        attach: called with each new unfinished run, to attach it to an existing job.
        print_line: prints a message.
        is_elsewhere: whether jobs compute on other machines.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: SweepFolder,
        data: RunDataCache,
        device_of: Callable[[RunConfig], Device],
        attach: Callable[[ScheduledRun], object],
        print_line: Callable[[str], None],
        is_elsewhere: bool = False,
    ) -> None:
        self.manifest, self.folder, self.data = manifest, folder, data
        self.device_of, self.attach, self.print_line = device_of, attach, print_line
        self._is_elsewhere = is_elsewhere
        self._runs: dict[Job, ScheduledRun] = {}
        self._recorded = {entry.job: set(entry.purposes) for entry in folder.entries()}
        self._trunks = SharedTrunks(print_line)
        self._undecided: frozenset[str] = frozenset()
        self._granted: dict[str, int] | None = None  # of a sequential study, seeds by arm
        self._ends: dict[str, str] = {}
        design = manifest.comparison
        if design is not None and design.is_sequential:
            self._granted = dict.fromkeys(design.judged_arms, design.first_seeds)
        self._num_open = 0  # rungs of a ladder whose runs may start
        if manifest.ladder is not None:
            self._num_open = len(manifest.ladder.rungs) - int(manifest.ladder.sealed)

    @property
    def runs(self) -> list[ScheduledRun]:
        """All runs so far, in the order in which they were required."""
        return list(self._runs.values())

    @property
    def is_settled(self) -> bool:
        """Whether no run can change any more."""
        return not any(run.is_open for run in self._runs.values())

    @property
    def held_back(self) -> str:
        """State that the highest rung of a ladder waits, and for what; empty where none waits."""
        ladder = self.manifest.ladder
        if ladder is None or self._num_open == len(ladder.rungs):
            return ""
        number = sum(not run.outcome().is_final for run in self._runs.values())
        return (
            f"r{len(ladder.rungs)} has not started, because {format_count(number, 'run')} of the "
            f"rungs below {'has' if number == 1 else 'have'} not finished"
        )

    @property
    def has_waiting_runs(self) -> bool:
        """Whether a run waits for a checkpoint of another."""
        return self._trunks.has_waiting_runs

    def is_ready(self, run: ScheduledRun) -> bool:
        """Return whether a queued run may start: a branch waits for a checkpoint of its trunk."""
        return self._trunks.is_ready(run)

    def extend(self) -> None:
        """Add the runs that the outcomes so far call for."""
        while True:
            required = self.manifest.required_jobs(
                self._outcomes(), self._undecided, self._num_open, self._granted
            )
            has_new_runs = any(job not in self._runs for job in required)
            for job, purposes in required.items():
                if job in self._runs:
                    self._runs[job].purposes = purposes
                else:
                    self._runs[job] = self._schedule(job, purposes)
                if not set(purposes) <= self._recorded.get(job, set()):
                    self._recorded[job] = set(purposes)
                    self.record(self._runs[job])
            if has_new_runs:
                continue  # some may be finished already and require more
            self._trunks.plan(self.runs)
            if self.is_settled and (self._grant_extra_seeds() or self._open_highest_rung()):
                continue
            return

    def locate_folder(self, config: RunConfig) -> RunFolder:
        """Return the folder of a run, of this study or of another that has the same run."""
        folder, _ = locate(resolve(config), self._identity(config))
        return folder

    def log_file(self, job: Job) -> Path:
        """Return the file for the output of a job."""
        return self.folder.job_file(job, "log")

    def record(self, run: ScheduledRun) -> None:
        """Append the run to the ledger of the sweep."""
        if run.config.reuse_across_code and run.was_finished:
            changes = different_code(run.folder, self._identity(run.config))
            if changes:
                note_other_code(run.folder, resolve(run.config), changes)
                self.print_line(f"{run.job.name}: taken from other code: {'; '.join(changes)}")
        self.folder.add_entry(run.job, run.purposes, run.folder, run.failure)

    def annotate(self, run: ScheduledRun) -> None:
        """Replace notes and tags of a finished run by those of its configuration, if any."""
        run.folder.annotate(run.config.notes, run.config.tags or None)

    def _outcomes(self) -> dict[Job, Any]:
        return {job: run.outcome() for job, run in self._runs.items()}

    def _grant_extra_seeds(self) -> bool:
        """Give more seeds to the arms without a verdict; once, by the rule of the design."""
        design = self.manifest.comparison
        if self._granted is not None:
            return self._grant_wave()
        if design is None or not design.extra_seeds or self._undecided:
            return False
        self._undecided = undecided_arms(self.manifest, self._outcomes())
        if self._undecided:
            arms = ", ".join(sorted(self._undecided))
            self.print_line(
                f"second look: {format_count(design.extra_seeds, 'more seed')} each for {arms}"
            )
        return bool(self._undecided)

    def _grant_wave(self) -> bool:
        """Give one more seed to each undecided arm of a sequential study, and to the baseline."""
        assert self._granted is not None
        waves = follow_waves(self.manifest, self._outcomes(), self._has_time)
        for arm, end in waves.ends.items():
            if end != UNFINISHED and arm not in self._ends:
                self._ends[arm] = end
                self.print_line(f"{arm}: {end} after {format_count(waves.seeds[arm], 'seed')}")
        if waves.seeds == self._granted:
            return False
        going_on = [arm for arm, end in waves.ends.items() if end == UNFINISHED]
        self.print_line(f"seed {max(waves.seeds.values())} for {', '.join(going_on)}")
        self._granted = waves.seeds
        return True

    def _has_time(self) -> bool:
        """Return whether ``design.max_minutes`` of a sequential study allow another wave."""
        design = self.manifest.comparison
        if design is None or design.max_minutes is None:
            return True
        folders = {run.folder.path: run.folder for run in self.runs if not run.is_open}
        spent = sum(float(one.status().get("seconds", 0.0)) for one in folders.values())
        return spent < 60 * design.max_minutes

    def _open_highest_rung(self) -> bool:
        """Seal the forecast of the highest rung, so that its runs may start; once."""
        ladder = self.manifest.ladder
        if ladder is None or self._num_open == len(ladder.rungs):
            return False
        outcomes = self._outcomes()
        if not is_complete_below(self.manifest, outcomes, self._num_open):
            return False
        self.seal(outcomes)
        self._num_open += 1
        return True

    def seal(self, outcomes: Outcomes) -> None:
        """Write the forecast of the highest rung, and print it if it is new."""
        # Fits import scipy, which only ladders need.
        from lmlab.study.ladders.seals import describe_seal, seal_highest_rung

        seal, is_new = seal_highest_rung(self.folder, self.manifest, outcomes)
        if is_new:
            self.print_line(describe_seal(seal))

    def _schedule(self, job: Job, purposes: list[str]) -> ScheduledRun:
        config = from_dict(self.manifest.job_config(job) | {"purpose": ", ".join(purposes)})
        run = ScheduledRun(
            job,
            purposes,
            config,
            self.locate_folder(config),
            self.log_file(job),
            metric=self.manifest.metric,
            training_flops=training_flops(config.as_dict()),
        )
        run.refresh_state()
        if run.state in FINISHED:
            self.annotate(run)
        else:
            self.attach(run)
        return run

    def _identity(self, config: RunConfig) -> dict[str, Any]:
        device = self.device_of(config)
        return run_identity(
            identity_settings(config),
            self.data.get(config),
            device,
            is_elsewhere=self._is_elsewhere,
        )
