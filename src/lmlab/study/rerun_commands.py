"""The commands that make a study, or one run of it, again."""

from __future__ import annotations

import shlex
from typing import Any

from lmlab.design.manifest import Job, Manifest
from lmlab.study.run_records import Study


def arm_commands(manifest: Manifest, arm: str, rate: float | None) -> list[str]:
    """The command that trains one run of an arm by itself."""
    if rate is None:
        return []
    job = Job(arm, rate, manifest.evaluation_seeds(arm)[0])
    content = manifest.job_config(job)
    words = [word for word in shlex.split(manifest.command)[3:] if not word.startswith("-")]
    kept = [word for word in words if not word.startswith(("experiment=", "design.", "hydra"))]
    assert manifest.comparison is not None
    like = str(manifest.comparison.baseline) if arm == manifest.comparison.replicate else arm
    own = manifest.overrides[manifest.names.index(like)]
    chosen = [f"optim.lr={rate:g}", f"seed={job.seed}", f"study={manifest.study}"]
    chosen.append(f"arm={content['arm']}")
    if content["model"]["d_ff"] != "auto" and manifest.comparison.solve_d_ff:
        chosen.append(f"model.d_ff={content['model']['d_ff']}")
    if manifest.comparison.hold_tokens:
        chosen += _in_steps(content)
    return [shlex.join(["python", "-m", "lmlab.train", *kept, *own, *chosen])]


def _in_steps(content: dict[str, Any]) -> list[str]:
    keys = (
        "training.steps", "training.log_every", "schedule.warmup_steps", "validation.every_steps",
        "checkpoint.every_steps",
    )  # fmt: skip
    found = []
    for key in keys:
        section, _, name = key.partition(".")
        if name in content[section]:
            found.append(f"{key}={content[section][name]}")
    return found


def study_commands(study: Study) -> list[dict[str, str]]:
    """The commands of the whole study and of its report, each with a label."""
    if study.manifest is None:
        return []
    place = f"outputs/{study.name}"
    if study.folder.parent.name == "sweeps":  # the report of this sweep, be it the newest or not
        place += f"/sweeps/{study.folder.name}"
    return [
        {"label": "the whole study", "command": study.manifest.command},
        {"label": "this report", "command": f"python -m lmlab.report {place}"},
    ]
