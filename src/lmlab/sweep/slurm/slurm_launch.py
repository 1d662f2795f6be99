"""Run a sweep under Slurm: check it, submit its runs, then follow or detach."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from lmlab.run_folder import FINISHED
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.code_snapshot import take_snapshot
from lmlab.sweep.driver import Driver
from lmlab.sweep.follow import follow_sweep, write_sweep_report
from lmlab.sweep.ladder_plan import plan_study
from lmlab.sweep.plan_listing import PlannedSchedule, print_plan
from lmlab.sweep.prepared_sweep import PreparedSweep, match_parameters
from lmlab.sweep.progress_view import ProgressView
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.commands import RefusedError, UnreachableError
from lmlab.sweep.slurm.driver_job import submit_driver
from lmlab.sweep.slurm.job_device import job_device
from lmlab.sweep.slurm.request_check import check_requests
from lmlab.sweep.slurm.sbatch import FullQueueError, check_output_path
from lmlab.sweep.slurm.settings import SlurmSettings
from lmlab.sweep.slurm.slurm_executor import SlurmExecutor
from lmlab.sweep.slurm.slurm_records import submission_records

_UNREACHABLE_SECONDS = 300  # how long a detached launch retries while Slurm does not respond
_RETRY_SECONDS = 1.0


def run_slurm_sweep(manifest: Manifest, settings: SlurmSettings) -> int:
    """Check a manifest, submit what is missing, and follow it or leave it to a driver job.

    Args:
        manifest: result of :meth:`SlurmSettings.resolve_runtime`.
        settings: how the sweep runs.

    Returns:
        The exit code: 0 if every run is done or left to Slurm, 1 if any failed, 130 after Ctrl-C,
        which also leaves the jobs to Slurm.

    Raises:
        ConfigError: the comparison is unfair, or Slurm refuses a request.
        DataError: a text cannot be used.
    """
    queue.check_commands()
    sweep = PreparedSweep.from_manifest(match_parameters(manifest))
    check_output_path(sweep.folder.path)
    _check_cluster(settings, manifest, sweep.folder)
    sweep.check_fairness()
    manifest = sweep.manifest
    slots = settings.submission.array_parallelism
    plan = plan_study(manifest, len(sweep.configs), None, slots)
    print(f"{manifest.study}: {plan.summary()}", file=sys.stderr)
    if settings.plan_only:
        print_plan(
            PlannedSchedule(manifest, sweep.folder, sweep.data, job_device, is_elsewhere=True)
        )
        return 0
    sweep.folder.write_manifest(manifest)
    code = take_snapshot(Path(sweep.configs[0].output_root))
    if settings.wait:
        return follow_in_slurm(manifest, settings, sweep.folder, sweep.data, code)
    return _detach(manifest, settings, sweep.folder, sweep.data, code)


def follow_in_slurm(
    manifest: Manifest,
    settings: SlurmSettings,
    folder: SweepFolder,
    data: RunDataCache,
    code: Path,
    signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    resumes_driver: bool = False,
) -> int:
    """Drive the sweep from this process until no run is missing; return the exit code.

    Args:
        manifest: the submitted study or sweep.
        settings: how the sweep runs.
        folder: folder of the sweep.
        data: prepared texts of the configurations.
        code: snapshot of the code that the jobs run.
        signals: signals that stop the driver; its jobs continue.
        resumes_driver: see :class:`SlurmExecutor`.
    """
    view = ProgressView(manifest.study, settings.submission.array_parallelism)
    executor = SlurmExecutor(
        folder, manifest.study, data, settings.submission, code, view.print_line, resumes_driver
    )
    schedule = RunSchedule(
        manifest, folder, data, job_device, executor.attach, view.print_line, is_elsewhere=True
    )
    driver = Driver(schedule, executor, view, signals)
    return follow_sweep(driver, view, report=settings.report)


def _check_cluster(settings: SlurmSettings, manifest: Manifest, folder: SweepFolder) -> None:
    """Refuse requests that the cluster could never run, before anything is prepared.

    Of a sweep that was submitted before, jobs may remain to be followed: only print the error.
    """
    try:
        check_requests(settings, manifest.names)
    except ConfigError as error:
        if not submission_records(folder).submissions():
            raise
        print(f"warning: {error}", file=sys.stderr)
    except (RefusedError, UnreachableError) as error:
        print(f"warning: cannot check the request: {error}", file=sys.stderr)


def _detach(
    manifest: Manifest, settings: SlurmSettings, folder: SweepFolder, data: RunDataCache, code: Path
) -> int:
    """Submit the runs that are ready, and a job that drives the rest and writes the report."""

    def start_driver(after: Sequence[str] = ()) -> bool:
        try:
            submit_driver(settings, folder, code, after)
        except FullQueueError:
            return False
        return True

    view = ProgressView(manifest.study, settings.submission.array_parallelism)
    executor = SlurmExecutor(
        folder, manifest.study, data, settings.submission, code, view.print_line,
        on_full_queue=start_driver,
    )  # fmt: skip
    schedule = RunSchedule(
        manifest, folder, data, job_device, executor.attach, view.print_line, is_elsewhere=True
    )
    driver = Driver(schedule, executor, view)
    deadline = time.monotonic() + _UNREACHABLE_SECONDS
    runs = driver.start_all()
    while executor.is_unreachable and time.monotonic() < deadline:
        time.sleep(_RETRY_SECONDS)
        runs = driver.start_all()
    counts = Counter(run.state for run in runs)
    states = ", ".join(f"{number} {state}" for state, number in counts.items())
    print(f"{manifest.study}: {states}")
    if all(run.state in FINISHED for run in runs):
        if settings.report:
            write_sweep_report(folder)
        return 0
    design = manifest.comparison
    has_waves = design is not None and (
        design.lr == "search" or design.most_seeds > design.first_seeds
    )
    # Without waves and branches, the driver has nothing to submit before the arrays end.
    must_submit = has_waves or executor.is_delayed or schedule.has_waiting_runs
    if executor.is_unreachable or not start_driver([] if must_submit else executor.job_ids()):
        raise ConfigError(
            "Slurm does not accept the driver job now, so only the submitted jobs run",
            "rerun the command later; it submits what is missing",
        )
    print(
        f"show progress: python -m lmlab.status {folder.study_folder}\n"
        f"show results:  python -m lmlab.report {folder.study_folder}"
    )
    return 0
