"""The runs of an output folder that jobs in Slurm's queue will write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm.job_status import job_status


def studies_in(root: Path) -> Iterator[Path]:
    """Yield the folders beside the caches, resolved and sorted; not all need to be studies."""
    for path in sorted(root.resolve().iterdir()):
        if path.is_dir() and path.name != "cache":
            yield path


def queued_runs(root: Path) -> dict[Path, set[Path]]:
    """Return the runs whose jobs wait or run, by study; none if Slurm does not respond."""
    found: dict[Path, set[Path]] = {}
    for study in studies_in(root):
        if not any(study.glob("sweeps/*/slurm")):
            continue
        jobs, _ = job_status(study)
        waiting = {job for job, status in jobs.items() if status.state in ("queued", "running")}
        if waiting:
            entries = (e for path in study.glob("sweeps/*") for e in SweepFolder(path).entries())
            found[study] = {e.run.path.resolve() for e in entries if e.job in waiting}
    return found
