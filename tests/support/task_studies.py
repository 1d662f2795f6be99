"""A study on disk whose runs have simulated losses, and scores by item."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from designs import a_design

from lmlab.config.compose import compose
from lmlab.design.fairness import ArmCosts
from lmlab.design.manifest import Manifest
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder
from lmlab.tasks.item_records import write_items

ARMS = {"rms": ["model.norm=rms"], "post": ["model.norm=post"], "none": ["model.norm=none"]}
METRICS = ["loss", "order", "order.margin", "probes.plots.kl", "wiki"]
NUM_ITEMS = 120
LAST_STEP = 20


def task_manifest(**changes: Any) -> Manifest:
    """Return a study of three arms and a replicate at fixed rates."""
    fields: dict[str, Any] = {
        "arms": ARMS, "baseline": "rms", "replicate": "again", "lr": "fixed", "num_seeds": 4,
        "at_baseline_lr": False, "metrics": METRICS, "test": "auto",
    }  # fmt: skip
    design = a_design(**(fields | changes))
    return Manifest("tasks", "train", _configs(), list(ARMS), list(ARMS.values()), design)


@functools.cache
def _configs() -> list[dict[str, Any]]:
    tasks = "validation.tasks={order: order.jsonl, wiki: {text: wiki.txt}}"
    composed = (
        compose([*overrides, "study=tasks", "logger=none", "seed=0", tasks])
        for overrides in ARMS.values()
    )
    return [config.as_dict() | {"design": None} for config in composed]


def write_task_study(
    manifest: Manifest, root: Path, effects: Mapping[str, float], lose: tuple[str, ...] = ()
) -> Path:
    """Write a finished study.

    Args:
        manifest: of :func:`task_manifest`.
        root: of the outputs.
        effects: true difference of the margin of an arm; its loss and others do not differ.
        lose: names of runs, such as ``post/seed1``, whose items are of an earlier step.
    """
    sweep = SweepFolder.of(manifest, root)
    sweep.write_manifest(manifest)
    costs = ArmCosts(1000, 2000, 64000, 1000, 4, 16, 512, 11, "d" * 64, "t" * 64, 64).as_dict()
    sweep.write_arm_costs(dict.fromkeys(manifest.names, costs))
    hard = np.random.default_rng(1).normal(size=NUM_ITEMS)
    for job, purposes in manifest.required_jobs({}).items():
        chance = np.random.default_rng([job.seed, sum(map(ord, job.arm))])
        run = RunFolder(root / "tasks" / job.arm / f"seed{job.seed}")
        run.path.mkdir(parents=True)
        sweep.add_entry(job, purposes, run)
        margins = effects.get(job.arm, 0.0) + hard + chance.normal(0, 0.5, NUM_ITEMS)
        margins += chance.normal(0, 0.02)
        kl = np.abs(chance.normal(0.1, 0.02, NUM_ITEMS))
        step = LAST_STEP - (f"{job.arm}/seed{job.seed}" in lose)
        write_items(run, "order", step, [
            {"id": str(at), "accuracy": int(one > 0), "margin": float(one)}
            for at, one in enumerate(margins)
        ])  # fmt: skip
        write_items(run, "probes/plots", step, [
            {"id": at, "kl": float(one)} for at, one in enumerate(kl)
        ])  # fmt: skip
        for at, loss in ((0, 7.0), (LAST_STEP, 3 + chance.normal(0, 0.005))):
            row = {"step": at, "tokens": 64 * at, "seconds": at / 50}
            run.append_row(row | {"kind": "train", "loss": loss, "lr": job.lr, "grad_norm": 1.0})
            run.append_row(row | {"kind": "validation", "loss": loss, "bits_per_byte": loss / 3})
            wiki = {"name": "wiki", "loss": loss, "bits_per_byte": loss / 3, "num_items": 1}
            run.append_row(row | {"kind": "tasks"} | wiki)
        run.write_status("done", step=LAST_STEP, steps=LAST_STEP, tokens=1280, seconds=1.0)
        run.write_meta({"identity": {"run": job.name}, "forward_flops_per_token": 2000})
    return sweep.study_folder
