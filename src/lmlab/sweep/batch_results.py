"""The results of a batch of jobs, for a sweeper that chooses the next jobs by them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

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
    first = batches[0]
    jobs = [
        (arm, name, overrides)
        for batch in batches
        for arm, name, overrides in zip(batch.arms, batch.names, batch.overrides, strict=True)
    ]
    distinct = [job for index, job in enumerate(jobs) if job[0] not in [j[0] for j in jobs[:index]]]
    return dataclasses.replace(
        first,
        arms=[arm for arm, _, _ in distinct],
        names=[name for _, name, _ in distinct],
        overrides=[overrides for _, _, overrides in distinct],
    )


def _read_result(run: RunFolder | None) -> BatchResult:
    if run is None:
        return BatchResult("missing", None, None)
    status = str(run.status().get("status"))
    losses = [row["loss"] for row in run.rows("validation")]
    if status not in FINISHED or not losses:
        return BatchResult(status, None, run.path)
    last = losses[-1]
    is_finite = status == "done" and last is not None and math.isfinite(last)
    return BatchResult(status, float(last) if is_finite else math.inf, run.path)
