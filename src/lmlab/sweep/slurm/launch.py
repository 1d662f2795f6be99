"""From composed configurations to a sweep under Slurm: checked, submitted, followed or left."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lmlab.config.compose import from_dict
from lmlab.design.manifest import Manifest
from lmlab.run_folder import FINISHED
from lmlab.storage.io import make_folder, read_json, write_json
from lmlab.storage.lock import Lock
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.arm_costs import TextsByConfig
from lmlab.sweep.code_snapshot import take_snapshot
from lmlab.sweep.driver import Driver
from lmlab.sweep.plan import make_plan
from lmlab.sweep.progress_view import View, print_results
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.job_device import device_of
from lmlab.sweep.slurm.settings import SlurmLaunch
from lmlab.sweep.slurm.slurm_pool import SlurmPool
from lmlab.sweep.slurm.submission import submit
from lmlab.sweep.submit import check_fairness, match_parameters, report


def run_sweep(manifest: Manifest, launch: SlurmLaunch) -> int:
    """Check a manifest, submit what is missing, and follow it or leave it to a job of its own.

    Args:
        manifest: as :meth:`SlurmLaunch.settle` gave it.
        launch: how.

    Returns:
        The exit code: 0 when every run is done or was left to Slurm, 1 when any failed, 130 after
        Ctrl-C, which leaves the jobs to Slurm too.

    Raises:
        ConfigError: the comparison would not be fair, or Slurm refuses a request.
        DataError: a text cannot be used.
    """
    queue.check_commands()
    manifest = match_parameters(manifest)
    configs = [from_dict(content) for content in manifest.arms]
    root = Path(configs[0].output_root)
    folder = SweepFolder.of(manifest, root)
    texts = TextsByConfig()
    check_fairness(manifest, configs, folder, texts)
    plan = make_plan(manifest.comparison, len(configs), None, launch.submitting.array_parallelism)
    print(f"{manifest.study}: {plan.told()}", file=sys.stderr)
    if launch.plan_only:
        return 0
    folder.write_manifest(manifest)
    code = take_snapshot(root)
    if launch.wait:
        return follow(manifest, launch, folder, texts, code)
    return _leave(manifest, launch, folder, texts, code)


def follow(
    manifest: Manifest,
    launch: SlurmLaunch,
    folder: SweepFolder,
    texts: TextsByConfig,
    code: Path,
    signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    goes_on: bool = False,
) -> int:
    """Drive the sweep from this process until nothing is missing; see :func:`run_sweep`."""
    view = View(manifest.study, launch.submitting.array_parallelism)
    pool = SlurmPool(
        folder, manifest.study, texts, launch.submitting, code, view.say, goes_on=goes_on
    )
    driver = Driver(manifest, folder, texts, device_of, pool, view, signals)
    with view:
        tasks = driver.run()
    print_results(tasks)
    if launch.report:
        report(folder)
    if driver.was_stopped:
        return 128 + signal.SIGINT
    return 1 if any(task.state in ("failed", "interrupted") for task in tasks) else 0


def _leave(
    manifest: Manifest, launch: SlurmLaunch, folder: SweepFolder, texts: TextsByConfig, code: Path
) -> int:
    """Submit what can be submitted now, and a job that drives the rest and reports."""
    view = View(manifest.study, launch.submitting.array_parallelism)
    pool = SlurmPool(folder, manifest.study, texts, launch.submitting, code, view.say)
    tasks = Driver(manifest, folder, texts, device_of, pool, view).start_all()
    counts = Counter(task.state for task in tasks)
    told = ", ".join(f"{number} {state}" for state, number in counts.items())
    print(f"{manifest.study}: {told}")
    if all(task.state in FINISHED for task in tasks):
        if launch.report:
            report(folder)
        return 0
    design = manifest.comparison
    has_waves = design is not None and (design.lr == "search" or design.extra_seeds > 0)
    after = [] if has_waves else pool.job_ids()
    _submit_driver(manifest, launch, folder, code, after)
    print(
        f"how far it is: python -m lmlab.status {folder.study_folder}\n"
        f"the report:    python -m lmlab.report {folder.study_folder}"
    )
    return 0


def _submit_driver(
    manifest: Manifest, launch: SlurmLaunch, folder: SweepFolder, code: Path, after: list[str]
) -> None:
    """Submit the sweep's driver as a job, unless there is one already."""
    place = make_folder(folder.path / "slurm" / "driver")
    name = f"lmlab-driver-{folder.path.name}-{place.resolve().stat().st_ino:x}"
    with Lock(place / "submit.lock"):
        if any(state.is_alive for state in queue.states_by_name([name]).values()):
            return
        write_json(place / "launch.json", launch.as_dict() | {"wait": True, "code": str(code)})
        job_id = submit(
            place,
            "lmlab.sweep.slurm.detached_driver",
            name=name,
            jobs=1,
            resources=launch.driver,
            code=code,
            array_parallelism=1,
            signal_seconds=launch.submitting.signal_seconds,
            after=after,
        )
        write_json(place / "driver.json", {"name": name, "job_id": job_id})
    print(f"submitted job {job_id}, which drives the study and writes its report")


def read_launch(place: Path) -> tuple[SlurmLaunch, Path]:
    """What the driver's job finds in its folder: the launch, and the snapshot's folder."""
    content = read_json(place / "launch.json")
    code = Path(content.pop("code"))
    return SlurmLaunch.from_dict(content), code
