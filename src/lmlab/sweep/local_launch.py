"""Run a sweep on this machine."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence

from lmlab.config.compose import from_dict
from lmlab.config.run_length import has_unmeasured_steps
from lmlab.design.manifest import Manifest
from lmlab.runs import auto_settings
from lmlab.runs.stacked.eligibility import members_at_once
from lmlab.sweep.driver import Driver
from lmlab.sweep.follow import STOPPED_EXIT_CODE, follow_sweep
from lmlab.sweep.ladder_plan import plan_study
from lmlab.sweep.local_executor import LocalExecutor
from lmlab.sweep.measured_lengths import with_measured_lengths
from lmlab.sweep.plan_listing import PlannedSchedule, print_plan
from lmlab.sweep.prepared_sweep import PreparedSweep, match_parameters
from lmlab.sweep.progress_view import ProgressView
from lmlab.sweep.run_schedule import RunSchedule
from lmlab.sweep.scheduled_run import ScheduledRun
from lmlab.sweep.shared_trunks import plan_arms
from lmlab.sweep.slots import Slot, describe_slots, find_slots
from lmlab.sweep.stacked_executor import StackedExecutor
from lmlab.sweep.sweep_preflight import check_capacity, is_finished
from lmlab.sweep.threads import resolve_threads
from lmlab.sweep.time_prediction import PredictionRecord, predict_run_seconds


@dataclasses.dataclass(frozen=True)
class LocalLaunchSettings:
    """How a sweep runs on this machine.

    Attributes:
        jobs_per_device: a number or ``auto``; see :func:`lmlab.sweep.slots.find_slots`.
        plan_only: print the plan and run nothing.
        report: write the report at the end.
        stack: a number, ``auto`` or ``off``; see
            :func:`lmlab.runs.stacked.eligibility.members_at_once`.
    """

    jobs_per_device: int | str = "auto"
    plan_only: bool = False
    report: bool = True
    stack: int | str = "auto"


def run_local_sweep(manifest: Manifest, settings: LocalLaunchSettings) -> int:
    """Check a manifest, print the plan, run what is missing, and write the report.

    Returns:
        The exit code; see :func:`lmlab.sweep.follow.follow_sweep`.

    Raises:
        ConfigError: the comparison is unfair, or this machine cannot run a configuration.
        DataError: a text cannot be used.
    """
    manifest = match_parameters(manifest)
    arms = [resolve_threads(content) for content in manifest.arms]
    manifest = dataclasses.replace(manifest, arms=arms)
    if any(map(has_unmeasured_steps, arms)):
        manifest = _measure_lengths(manifest, settings)
    sweep = PreparedSweep.from_manifest(manifest)
    slots = find_slots(sweep.configs[0], settings.jobs_per_device)
    device_type = auto_settings.build_device(sweep.configs[0]).device.type
    max_members = functools.partial(
        members_at_once, device_type=device_type, setting=settings.stack
    )
    runs_per_process = max(max_members(config) for config in sweep.configs)
    predicted_seconds = _check_and_print_plan(sweep, slots, runs_per_process)
    if settings.plan_only:
        print_plan(
            PlannedSchedule(sweep.manifest, sweep.folder, sweep.data, auto_settings.build_device)
        )
        return 0
    sweep.folder.write_manifest(sweep.manifest)
    sweep.folder.remove_litter()
    view = ProgressView(sweep.manifest.study, len(slots) * runs_per_process)
    executor = (
        LocalExecutor(slots, sweep.folder)
        if runs_per_process == 1
        else StackedExecutor(slots, sweep.folder, max_members, view.print_line)
    )
    schedule = RunSchedule(
        sweep.manifest,
        sweep.folder,
        sweep.data,
        auto_settings.build_device,
        executor.attach,
        view.print_line,
    )
    driver = Driver(schedule, executor, view)
    record = PredictionRecord(sweep.folder.path, predicted_seconds)

    def compare_with_prediction(runs: Sequence[ScheduledRun]) -> None:
        if driver.was_stopped or any(run.state != "done" for run in runs):
            return
        new_runs = sum(not run.was_finished for run in runs)
        # The prediction for a plain sweep covers the missing runs; that for a study covers all.
        is_comparable = manifest.is_plain or new_runs == len(runs)
        summary = record.finish(new_runs if is_comparable else 0)
        if summary:
            print(summary)

    code = follow_sweep(driver, view, report=settings.report, on_results=compare_with_prediction)
    if code == STOPPED_EXIT_CODE:
        print("stopped; rerun the command to resume", file=sys.stderr)
    return code


def _measure_lengths(manifest: Manifest, settings: LocalLaunchSettings) -> Manifest:
    configs = [from_dict(content) for content in manifest.arms]
    device_type = auto_settings.build_device(configs[0]).device.type
    for config in configs:  # a stack is refused before anything is measured
        members_at_once(config, device_type, settings.stack)
    return with_measured_lengths(manifest, find_slots(configs[0], settings.jobs_per_device))


def _check_and_print_plan(
    sweep: PreparedSweep, slots: list[Slot], runs_per_process: int
) -> float | None:
    """Check fairness and capacity, and print the size and power of the study.

    Returns:
        The predicted seconds; None if unknown.
    """
    sweep.check_fairness()
    manifest, configs, data = sweep.manifest, sweep.configs, sweep.data
    device = auto_settings.build_device(configs[0])
    runs = plan_study(manifest, len(configs), None, len(slots)).least_runs
    check_capacity(plan_arms(configs)[0], data, slots * runs_per_process, runs)
    if manifest.is_plain:
        configs = [config for config in configs if not is_finished(config, data)]
    configs, starts = plan_arms(configs)
    # Measurements of single runs do not predict the steps of a stack.
    seconds = predict_run_seconds(configs, data, slots, starts) if runs_per_process == 1 else None
    plan = plan_study(manifest, len(configs), seconds, len(slots))
    placement = describe_slots(slots, device.threads, runs_per_process)
    print(f"{manifest.study}: {plan.summary()}, {placement}", file=sys.stderr)
    return plan.seconds
