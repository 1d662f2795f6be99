"""The steps of the arms of a sweep with ``training.minutes``, measured before its runs start.

The runs of an arm share them, whatever their seed and learning rate. A rerun of the command takes
those of the sweep that it started before.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.config.compose import from_dict, with_steps
from lmlab.config.run_config import RunConfig
from lmlab.config.run_length import has_unmeasured_steps
from lmlab.console.formatting import format_count
from lmlab.design.identifying_settings import identifying_settings
from lmlab.design.manifest import Manifest
from lmlab.errors import UserError
from lmlab.runs.measured_length import find_length, length_file
from lmlab.study.sweep_folder import sweeps_in
from lmlab.sweep.ladder_plan import plan_study
from lmlab.sweep.slots import Slot, config_in_slot, count_co_runners
from lmlab.sweep.time_prediction import enter_slot, measure_at_once


def with_measured_lengths(manifest: Manifest, slots: Sequence[Slot]) -> Manifest:
    """Return a manifest whose arms have steps, and print those that were measured.

    Arms that no sweep has measured are measured as they will run: in a slot each, and as many at a
    time as there are runs and slots.

    Args:
        manifest: the study or sweep, with resolved threads.
        slots: slots for runs.

    Raises:
        ConfigError: no update of an arm fits its minutes.
    """
    earlier = _earlier_arms(manifest)
    arms = [_as_before(name, content, earlier.get(name, [])) for name, content in _named(manifest)]
    missing = [from_dict(content) for content in arms if has_unmeasured_steps(content)]
    runs = plan_study(manifest, len(arms), None, len(slots)).least_runs
    co_runners = count_co_runners(slots[0], slots, runs)
    _measure_all(missing, slots, co_runners)
    for index, content in enumerate(arms):
        if has_unmeasured_steps(content):
            config, summary = find_length(from_dict(content))
            arms[index] = config.as_dict()
            print(f"{manifest.names[index]}: {summary}", file=sys.stderr)
    return dataclasses.replace(manifest, arms=arms)


def _named(manifest: Manifest) -> list[tuple[str, dict[str, Any]]]:
    return list(zip(manifest.names, manifest.arms, strict=True))


def _earlier_arms(manifest: Manifest) -> dict[str, list[dict[str, Any]]]:
    """Return the arms of the sweeps of this study so far, by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sweep in sweeps_in(Path(manifest.arms[0]["output_root"]) / manifest.study):
        try:
            arms = _named(sweep.manifest())
        except UserError:
            continue  # damaged
        for name, content in arms:
            found.setdefault(name, []).append(content)
    return found


def _as_before(
    name: str, content: dict[str, Any], earlier: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return an arm with the steps of an earlier one that differs in nothing else."""
    if not has_unmeasured_steps(content):
        return content
    for other in earlier:
        training = other["training"]
        if training.get("minutes") != content["training"]["minutes"] or training["steps"] < 1:
            continue
        same = with_steps(from_dict(content), training["steps"]).as_dict()
        if identifying_settings(same) == identifying_settings(other):
            print(
                f"{name}: training.minutes={training['minutes']:g}: "
                f"{format_count(training['steps'], 'step')}, as measured when the sweep began",
                file=sys.stderr,
            )
            return same
    return content


def _measure_all(configs: Sequence[RunConfig], slots: Sequence[Slot], co_runners: int) -> None:
    pending: dict[Path, RunConfig] = {}
    for config in configs:
        job = config_in_slot(config, slots[0], co_runners)
        if not (path := length_file(job)).exists():
            pending.setdefault(path, job)
    if pending:
        print("training.minutes: measuring how long updates take", file=sys.stderr)
        measure_at_once(_measure, list(pending.values()), slots, co_runners + 1)


def _measure(content: dict[str, Any], slot: Slot) -> None:
    """Measure the steps of an arm in a separate process, which stores them in the cache folder."""
    enter_slot(slot)
    try:
        find_length(from_dict(content))
    except (UserError, RuntimeError):
        sys.exit(1)  # the launch meets the same error and reports it
