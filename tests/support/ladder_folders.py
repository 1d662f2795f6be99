"""Ladders on disk with simulated losses: everything but the training is real."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlab.design.fairness import ArmCosts
from lmlab.design.job import Job
from lmlab.design.ladder import Ladder, cell_name
from lmlab.design.ladder_runs import is_complete_below
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome, outcome_from_losses
from lmlab.run_folder import RunFolder
from lmlab.study.ladders.seals import seal_highest_rung
from lmlab.study.sweep_folder import SweepFolder
from tests.support.ladders import Loss, _base_config, power_law

START = "2099-01-01T{:02d}:{:02d}:00Z"  # after the seal, whose time is that of the test
EARLY = "2020-01-01T00:00:00Z"


def ladder_manifest(ladder: Ladder, root: Path, study: str = "ladder") -> Manifest:
    """Return the manifest of a ladder whose cells have the sizes of their rungs."""
    arms, names, overrides = [], [], []
    for cell, (rung, arm) in ladder.cells.items():
        if arm not in ladder.arms:
            continue
        size, config = ladder.rungs[rung], json.loads(json.dumps(_base_config()))
        config["model"] |= {"d_model": size.d_model, "num_layers": size.num_layers}
        context, batch = config["model"]["context_length"], config["training"]["batch_size"]
        config["training"]["steps"] = size.tokens // (context * batch)
        arms.append({**config, "study": study, "design": None, "output_root": str(root)})
        names.append(cell)
        overrides.append([*size.overrides, *ladder.arms[arm]])
    command = f"python -m lmlab.train -m design=ladder study={study} scale=smoke"
    return Manifest(study, command, arms, names, overrides, ladder=ladder)


def write_ladder(
    root: Path,
    ladder: Ladder,
    loss: Loss = power_law,
    *,
    study: str = "ladder",
    skip: Callable[[Job], bool] = lambda job: False,
    status: Callable[[Job], str] = lambda job: "done",
    started: Callable[[Job], str] | None = None,
    reuse: bool = False,
) -> Path:
    """Write the runs of a ladder until nothing more is required; return the study's folder.

    Args:
        root: output root.
        ladder: the declaration.
        loss: final loss by rung, arm, rate and seed; rates above 0.1 diverge.
        study: its name.
        skip: which runs have not started.
        status: how a run ended.
        started: when a run started; None for times after the seal.
        reuse: whether runs that an earlier call wrote are kept.
    """
    manifest = ladder_manifest(ladder, root, study)
    sweep = SweepFolder.of(manifest, root)
    sweep.write_manifest(manifest)
    sweep.write_arm_costs(_costs(manifest))
    outcomes: dict[Job, TrialOutcome] = {}
    num_open = len(ladder.rungs) - int(ladder.sealed)
    while True:
        wanted = manifest.required_jobs(outcomes, (), num_open)
        fresh = [job for job in wanted if job not in outcomes]
        for job in fresh:
            content = manifest.job_config(job)
            run = RunFolder(root / study / content["arm"] / f"seed{job.seed}")
            sweep.add_entry(job, wanted[job], run)
            outcomes[job] = TrialOutcome("missing")
            if not skip(job):
                at = started(job) if started else START.format(*divmod(len(outcomes) % 1440, 60))
                if not (reuse and run.path.exists()):
                    _write_run(run, job, manifest, loss, status(job), at)
                losses = [row["loss"] for row in run.rows() if row["kind"] == "validation"]
                outcomes[job] = outcome_from_losses(str(run.status()["status"]), losses)
        if fresh:
            continue
        below = len(ladder.rungs) - 1
        if num_open == below and is_complete_below(manifest, outcomes, below):
            seal_highest_rung(sweep, manifest, outcomes)
            num_open += 1
            continue
        return sweep.study_folder


def _costs(manifest: Manifest) -> dict[str, dict[str, Any]]:
    ladder, found = manifest.ladder, {}
    assert ladder is not None
    for rung, size in enumerate(ladder.rungs):
        for arm in ladder.arms:
            costs = ArmCosts(
                size.parameters, size.flops // (3 * size.tokens), size.tokens,
                size.tokens // 512, 16, 32, 8192, 5, "d" * 64, "t" * 64, 64,
            )  # fmt: skip
            found[cell_name(rung, arm)] = costs.as_dict()
    return found


def _write_run(
    run: RunFolder, job: Job, manifest: Manifest, loss: Loss, status: str, started: str
) -> None:
    ladder = manifest.ladder
    assert ladder is not None
    rung, arm = ladder.cells[job.arm]
    rate = manifest.job_config(job)["optim"]["lr"]
    final = loss(rung, arm, rate, job.seed)
    if rate > 0.1 and status == "done":
        status = "diverged"
    tokens, steps = ladder.rungs[rung].tokens, ladder.rungs[rung].tokens // 512
    seconds = 2.0 * 5.0**rung * (1.3 if arm == "new" else 1.0)
    run.path.mkdir(parents=True)
    rows = []
    for part in range(5):
        value = final + (6.2 - final) * math.exp(-2.5 * part) if part < 4 else final
        if status == "diverged" and part > 2:
            value = math.nan
        row = {
            "step": steps * part // 4,
            "tokens": tokens * part // 4,
            "seconds": seconds * part / 4,
        }
        rows.append(row | {"kind": "train", "loss": value, "lr": rate, "grad_norm": 1.0,
                           "tokens_per_second": tokens / seconds})  # fmt: skip
        rows.append(row | {"kind": "validation", "loss": value, "bits_per_byte": value / 3})
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reason = {"diverged": "loss is nan", "failed": "ValueError: simulated"}.get(status, "")
    run.write_status(status, step=steps, steps=steps, tokens=tokens, seconds=seconds, reason=reason)
    written = json.loads((run.path / "status.json").read_text()) | {"time": "2099-01-03T00:00:00Z"}
    (run.path / "status.json").write_text(json.dumps(written))
    session = {"time": started, "device": "cpu", "platform": "test", "python": "3",
               "versions": {"torch": "2"}, "code": {"commit": "c" * 40}}  # fmt: skip
    meta = {"forward_flops_per_token": 2000, "train_tokens": 40_000_000, "corpus": "books"}
    run.write_meta({"identity": {"run": job.name}, **meta, "sessions": [session]})
    run.samples.write_text(f"# Samples\n\n```text\nOne day {arm}\n```\n")
