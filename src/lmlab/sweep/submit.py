"""From composed configurations to a sweep that is carried out and reported."""

from __future__ import annotations

import dataclasses
import functools
import signal
import sys
from pathlib import Path

from lmlab.config.compose import from_dict
from lmlab.config.run_config import RunConfig
from lmlab.design import fairness
from lmlab.design.manifest import Manifest
from lmlab.runs import auto_settings
from lmlab.runs.stacked.eligibility import members_at_once
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.arm_costs import TextsByConfig, facts_of, match_width
from lmlab.sweep.driver import Driver
from lmlab.sweep.local_pool import LocalPool
from lmlab.sweep.plan import find_power, make_plan
from lmlab.sweep.progress_view import View, print_results
from lmlab.sweep.slots import Slot, describe_slots, find_slots
from lmlab.sweep.stacked_executor import StackingPool
from lmlab.sweep.sweep_preflight import Stopwatch, check_all, is_finished, run_seconds
from lmlab.sweep.threads import resolve_threads


@dataclasses.dataclass(frozen=True)
class LaunchOptions:
    """How a sweep is launched on this machine.

    Attributes:
        jobs_per_device: a number or ``auto``; see :func:`lmlab.sweep.slots.find_slots`.
        plan_only: tell what would be run, and run nothing.
        report: write the report at the end.
        stack: a number, ``auto`` or ``off``; see :func:`lmlab.runs.stacked.eligibility.members_at_once`.
    """

    jobs_per_device: int | str = "auto"
    plan_only: bool = False
    report: bool = True
    stack: int | str = "auto"


def run_sweep(manifest: Manifest, launch: LaunchOptions) -> int:
    """Check a manifest, tell the plan, run what is missing, and report.

    Returns:
        The exit code: 0 when every run is done (diverged counts as done), 1 when any failed, 130
        after Ctrl-C.

    Raises:
        ConfigError: the comparison would not be fair, or a setting does not fit this machine.
        DataError: a text cannot be used.
    """
    manifest = match_parameters(manifest)
    arms = [resolve_threads(content) for content in manifest.arms]
    manifest = dataclasses.replace(manifest, arms=arms)
    configs = [from_dict(content) for content in manifest.arms]
    root = Path(configs[0].output_root)
    folder = SweepFolder.of(manifest, root)
    slots = find_slots(configs[0], launch.jobs_per_device)
    texts = TextsByConfig()
    kind = auto_settings.build_device(configs[0]).device.type
    members_of = functools.partial(members_at_once, device_type=kind, setting=launch.stack)
    members = max(members_of(config) for config in configs)
    predicted = _tell_plan(manifest, configs, folder, texts, slots, members)
    if launch.plan_only:
        return 0
    folder.write_manifest(manifest)
    view = View(manifest.study, len(slots) * members)
    pool = (
        LocalPool(slots, folder)
        if members == 1
        else StackingPool(slots, folder, members_of, view.say)
    )
    driver = Driver(manifest, folder, texts, auto_settings.build_device, pool, view)
    watch = Stopwatch(folder.path, predicted)
    with view:
        tasks = driver.run()
    print_results(tasks)
    if not driver.was_stopped and all(task.state == "done" for task in tasks):
        fresh = sum(not task.was_done for task in tasks)
        counted = manifest.comparison is None or fresh == len(tasks)
        told = watch.stop(fresh if counted else 0)
        if told:
            print(told)
    if launch.report:
        report(folder)
    if driver.was_stopped:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT
    return 1 if any(task.state == "failed" for task in tasks) else 0


def match_parameters(manifest: Manifest) -> Manifest:
    """Set the feed-forward widths that a study wants solved; see ``design.solve_d_ff``."""
    design = manifest.comparison
    if design is None or not design.solve_d_ff:
        return manifest
    reference = from_dict(manifest.arms[manifest.names.index(design.baseline or manifest.names[0])])
    tolerance = design.tolerance.get("parameters", 0.0)
    arms = [match_width(from_dict(content), reference, tolerance) for content in manifest.arms]
    return dataclasses.replace(manifest, arms=arms)


def _tell_plan(
    manifest: Manifest,
    configs: list[RunConfig],
    folder: SweepFolder,
    texts: TextsByConfig,
    slots: list[Slot],
    members: int,
) -> float | None:
    """Check fairness and room, and print what the study will cost and can find.

    Returns:
        Predicted seconds, where they are known.
    """
    check_fairness(manifest, configs, folder, texts)
    design = manifest.comparison
    device = auto_settings.build_device(configs[0])
    runs = make_plan(design, len(configs), None, len(slots)).least_runs
    check_all(configs, texts, slots * members, runs)
    wanted = configs
    if design is None:
        wanted = [config for config in configs if not is_finished(config, texts)]
    # What a run measures alone says little about the steps of a stack.
    seconds = run_seconds(wanted, texts, slots) if members == 1 else None
    plan = make_plan(design, len(wanted), seconds, len(slots))
    placed = describe_slots(slots, device.threads, members)
    print(f"{manifest.study}: {plan.told()}, {placed}", file=sys.stderr)
    return plan.seconds


def check_fairness(
    manifest: Manifest, configs: list[RunConfig], folder: SweepFolder, texts: TextsByConfig
) -> None:
    """Count every arm, and print what the study can find. Raises :class:`ConfigError`."""
    prepared = [texts.of(config) for config in configs]
    design = manifest.comparison
    if design is not None:
        reference = configs[manifest.names.index(design.baseline or manifest.names[0])]
        facts = [
            facts_of(config, own, reference) for config, own in zip(configs, prepared, strict=True)
        ]
        by_arm = dict(zip(manifest.names, facts, strict=True))
        _print_facts(by_arm)
        for difference in fairness.check_fairness(by_arm, design):
            print(f"allowed: {difference.description}", file=sys.stderr)
        folder.write_arm_costs({arm: own.as_dict() for arm, own in by_arm.items()})
        baseline = [
            entry.run
            for entry in folder.entries()
            if entry.job.arm == design.baseline and "judged" in entry.purposes
        ]
        for line in find_power(design, baseline):
            print(line, file=sys.stderr)


def _print_facts(facts: dict[str, fairness.ArmCosts]) -> None:
    rows = [list(fairness.TABLE_COLUMNS), *fairness.cost_table(facts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip(), file=sys.stderr)


def report(folder: SweepFolder) -> None:
    """Write the report of the study, and say where."""
    from lmlab.study.write_report import write_report

    for line in write_report(folder.study_folder):
        print(line)
