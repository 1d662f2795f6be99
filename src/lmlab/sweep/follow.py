"""Follow a sweep to its end: drive it, print the results, write the report."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from lmlab.runs.run_summary import wandb_sync_command
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.driver import Driver
from lmlab.sweep.progress_view import ProgressView, print_results
from lmlab.sweep.scheduled_run import ScheduledRun

STOPPED_EXIT_CODE = 128 + signal.SIGINT


def follow_sweep(
    driver: Driver,
    view: ProgressView,
    *,
    report: bool,
    on_results: Callable[[Sequence[ScheduledRun]], None] | None = None,
) -> int:
    """Drive a sweep to its end, print its results, and write its report.

    Args:
        driver: drives the sweep.
        view: shows the progress.
        report: whether to write the report.
        on_results: called after the results are printed.

    Returns:
        The exit code: 0 if every run is done (diverged counts as done), 1 if any failed or was
        interrupted, 130 if a signal stopped the sweep.
    """
    with view:
        runs = driver.run()
    print_results(runs)
    if driver.schedule.held_back:
        print(driver.schedule.held_back)
    if on_results is not None:
        on_results(runs)
    if report:
        write_sweep_report(driver.schedule.folder)
    offline = {run.folder.offline_wandb() for run in runs}
    for folder in sorted({path.parent for path in offline if path is not None}):
        print(f"wandb, offline: {wandb_sync_command(folder)}")
    if driver.was_stopped:
        return STOPPED_EXIT_CODE
    return 1 if any(run.state in ("failed", "interrupted") for run in runs) else 0


def write_sweep_report(folder: SweepFolder) -> None:
    """Write the report of the study, and print where."""
    from lmlab.study.write_report import write_report  # matplotlib takes a second to import

    for line in write_report(folder.study_folder):
        print(line)
