"""The commands that reproduce a study, its report, or one of its runs."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import Any

from lmlab.config.group_selection import dotted_key
from lmlab.config.run_length import BUDGETS
from lmlab.config.schedule_settings import has_other_warmup
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.study.experiment_overrides import experiment_overrides
from lmlab.study.reused_runs import reused_runs
from lmlab.study.run_records import Study

# Overrides that declare the study; a run by itself has none of them.
_OF_STUDY = ("experiment", "design", "ladder", "hydra")
BUDGET_KEYS = frozenset(f"training.{name}" for name in BUDGETS)


def arm_commands(manifest: Manifest, arm: str, rate: float | None) -> list[str]:
    """Return the command that trains one run of an arm by itself; none without a rate."""
    if rate is None:
        return []
    assert manifest.comparison is not None
    job = Job(arm, rate, manifest.evaluation_seeds(arm)[0])
    content = manifest.job_config(job)
    like = str(manifest.comparison.baseline) if arm == manifest.comparison.replicate else arm
    of_arm = manifest.overrides[manifest.names.index(like)]
    budgets: frozenset[str] = frozenset()
    if manifest.comparison.hold_tokens:  # the steps of the study replace the arm's own length
        budgets = BUDGET_KEYS
        of_arm = [override for override in of_arm if dotted_key(override) not in budgets]
    of_run = [f"optim.lr={rate!r}", f"seed={job.seed}", f"study={manifest.study}"]
    of_run.append(f"arm={content['arm']}")
    if content["model"]["d_ff"] != "auto" and manifest.comparison.solve_d_ff:
        of_run.append(f"model.d_ff={content['model']['d_ff']}")
    own = {dotted_key(override) for override in (*of_arm, *of_run)}
    shared = shared_overrides(manifest, own | budgets)
    if manifest.comparison.hold_tokens:
        of_run += _step_overrides(content)
    return [shlex.join(["python", "-m", "lmlab.train", *shared, *of_arm, *of_run])]


def shared_overrides(manifest: Manifest, without: Collection[str]) -> list[str]:
    """Return what the experiment file and the command of a study set for all of its runs.

    Args:
        manifest: of the study.
        without: keys of overrides to leave out, such as those that a run sets itself.
    """
    typed = [one for one in shlex.split(manifest.command)[3:] if not one.startswith("-")]
    names = [one.partition("=")[2] for one in typed if dotted_key(one) == "experiment"]
    shared = [override for name in names for override in experiment_overrides(name)]
    shared += [one for one in typed if dotted_key(one).partition(".")[0] not in _OF_STUDY]
    return [override for override in shared if dotted_key(override) not in without]


def _step_overrides(content: dict[str, Any]) -> list[str]:
    keys = (
        "training.steps", "training.log_every", "schedule.warmup_steps", "validation.every_steps",
        "checkpoint.every_steps",
    )  # fmt: skip
    overrides = []
    for key in keys:
        section, _, name = key.partition(".")
        if name == "warmup_steps" and has_other_warmup(content[section]):
            continue
        if name in content[section]:
            overrides.append(f"{key}={content[section][name]}")
    return overrides


def study_commands(study: Study) -> list[dict[str, str]]:
    """Return the commands of the whole study and of its report, each with a label."""
    if study.manifest is None:
        return []
    root = next((arm["output_root"] for arm in study.manifest.arms), "outputs")
    folder = f"{root}/{study.name}"
    if study.folder.parent.name == "sweeps":  # this sweep may not be the newest one of the study
        folder += f"/sweeps/{study.folder.name}"
    folder = shlex.quote(folder)
    label = "the whole study"
    if reused_runs(study):
        label += " (it trains only the runs that it does not find in the output folder)"
    return [
        {"label": label, "command": study.manifest.command},
        {"label": "this report", "command": f"python -m lmlab.report {folder}"},
    ]
