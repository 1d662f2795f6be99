"""The commands that reproduce a study, its report, or one of its runs."""

from __future__ import annotations

import shlex
from typing import Any

from lmlab.config.run_length import BUDGETS
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.study.experiment_overrides import experiment_overrides
from lmlab.study.reused_runs import reused_runs
from lmlab.study.run_records import Study

# Overrides that declare the study; a run by itself has none of them.
_OF_STUDY = ("experiment", "design", "ladder", "hydra")


def arm_commands(manifest: Manifest, arm: str, rate: float | None) -> list[str]:
    """Return the command that trains one run of an arm by itself; none without a rate."""
    if rate is None:
        return []
    assert manifest.comparison is not None
    job = Job(arm, rate, manifest.evaluation_seeds(arm)[0])
    content = manifest.job_config(job)
    study_overrides = [
        argument for argument in shlex.split(manifest.command)[3:] if not argument.startswith("-")
    ]
    experiments = [one.partition("=")[2] for one in study_overrides if _key(one) == "experiment"]
    shared = [override for name in experiments for override in experiment_overrides(name)]
    shared += [one for one in study_overrides if _key(one).partition(".")[0] not in _OF_STUDY]
    like = str(manifest.comparison.baseline) if arm == manifest.comparison.replicate else arm
    of_arm = manifest.overrides[manifest.names.index(like)]
    if manifest.comparison.hold_tokens:  # the steps of the study replace the arm's own length
        shared, of_arm = ([o for o in each if not _is_budget(o)] for each in (shared, of_arm))
    of_run = [f"optim.lr={rate!r}", f"seed={job.seed}", f"study={manifest.study}"]
    of_run.append(f"arm={content['arm']}")
    if content["model"]["d_ff"] != "auto" and manifest.comparison.solve_d_ff:
        of_run.append(f"model.d_ff={content['model']['d_ff']}")
    own = {_key(override) for override in (*of_arm, *of_run)}
    shared = [override for override in shared if _key(override) not in own]
    if manifest.comparison.hold_tokens:
        of_run += _step_overrides(content)
    return [shlex.join(["python", "-m", "lmlab.train", *shared, *of_arm, *of_run])]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].replace("/", ".")


def _is_budget(override: str) -> bool:
    return _key(override) in {f"training.{name}" for name in BUDGETS}


def _step_overrides(content: dict[str, Any]) -> list[str]:
    keys = (
        "training.steps", "training.log_every", "schedule.warmup_steps", "validation.every_steps",
        "checkpoint.every_steps",
    )  # fmt: skip
    overrides = []
    for key in keys:
        section, _, name = key.partition(".")
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
