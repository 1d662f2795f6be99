"""The results of a batch of jobs, for a sweeper that uses them to choose the next jobs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.design.manifest import Manifest
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.study.sweep_folder import sweeps_in


@dataclasses.dataclass(frozen=True)
class BatchResult:
    """The result of one job.

    Attributes:
        status: status of its run folder.
        loss: final validation loss; infinity if the run diverged, None if it has not finished.
        folder: its run folder; None if it has none.
    """

    status: str
    loss: float | None
    folder: Path | None


def study_folder(manifest: Manifest) -> Path:
    """Return the folder of the manifest's study."""
    return Path(manifest.arms[0]["output_root"]) / manifest.study


def read_results(manifest: Manifest) -> list[BatchResult]:
    """Return the results of the manifest's jobs, in order, from the sweep that just ended."""
    sweep = next(iter(sweeps_in(study_folder(manifest))))
    runs = {entry.job.number: entry.run for entry in sweep.entries()}
    return [_read_result(runs.get(number)) for number in range(len(manifest.arms))]


def join_batches(batches: Sequence[Manifest]) -> Manifest:
    """Return one sweep of the jobs of all batches, each once, for the report."""
    jobs: list[tuple[dict[str, Any], str, list[str]]] = []
    for batch in batches:
        for job in zip(batch.arms, batch.names, batch.overrides, strict=True):
            if all(job[0] != arm for arm, _, _ in jobs):  # 0 equals 0.0, unlike their hashes
                jobs.append(job)
    return dataclasses.replace(
        batches[0],
        arms=[arm for arm, _, _ in jobs],
        names=[name for _, name, _ in jobs],
        overrides=[overrides for _, _, overrides in jobs],
    )


def _read_result(run: RunFolder | None) -> BatchResult:
    if run is None:
        return BatchResult("missing", None, None)
    status = str(run.status().get("status"))
    rows = run.evaluations()
    if status not in FINISHED or not rows:
        return BatchResult(status, None, run.path)
    loss = float(rows[-1]["loss"]) if status == "done" else math.inf
    return BatchResult(status, loss, run.path)
