"""Submit the job that drives a detached sweep, and read what it needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmlab.errors import ConfigError, DataError
from lmlab.storage.fields import OBJECT, TEXT, read_valid
from lmlab.storage.io import make_folder, write_json
from lmlab.storage.lock import Lock
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.commands import UnreachableError
from lmlab.sweep.slurm.sbatch import submit_array
from lmlab.sweep.slurm.settings import SlurmSettings
from lmlab.sweep.slurm.slurm_records import driver_folder

_LAUNCH = {
    "code": TEXT, "driver": OBJECT, "submission": OBJECT, "submission.resources": OBJECT,
    "submission.resources.common": OBJECT, "submission.resources.per_arm": OBJECT,
}  # fmt: skip
_SUBMIT_AGAIN = "rerun the command that submitted the study"
DRIVER_MODULE = "lmlab.sweep.slurm.detached_driver"


def submit_driver(
    settings: SlurmSettings, sweep: SweepFolder, code: Path, after: Sequence[str]
) -> None:
    """Submit the driver of a sweep, unless one is queued or running.

    Args:
        settings: how the sweep runs.
        sweep: folder of the sweep.
        code: snapshot of the code that the jobs run.
        after: numbers of arrays that must have ended before.

    Raises:
        ConfigError: Slurm refuses the job, or does not respond.
        FullQueueError: Slurm accepts no further job now.
    """
    folder = make_folder(driver_folder(sweep))
    name = f"lmlab-driver-{sweep.path.name}-{folder.resolve().stat().st_ino:x}"
    with Lock(folder / "submit.lock", protects=folder), _translate_unreachable():
        if any(state.is_alive for state in queue.states_by_name([name]).values()):
            return
        write_json(folder / "launch.json", settings.as_dict() | {"wait": True, "code": str(code)})
        job_id = submit_array(
            folder,
            DRIVER_MODULE,
            name=name,
            jobs=1,
            resources=settings.driver,
            code=code,
            array_parallelism=1,
            signal_seconds=settings.submission.signal_seconds,
            after=after,
        )
        write_json(folder / "driver.json", {"name": name, "job_id": job_id})
    print(f"submitted driver job {job_id}, which drives the study and writes its report")


@contextlib.contextmanager
def _translate_unreachable() -> Iterator[None]:
    try:
        yield
    except UnreachableError as error:
        raise ConfigError(
            f"Slurm is not responding, so the driver job is not submitted: {error}",
            "rerun the command later; it submits what is missing",
        ) from error


def read_driver_launch(folder: Path) -> tuple[SlurmSettings, Path]:
    """Return the settings of the sweep and the code snapshot from the driver's folder.

    Raises:
        DataError: the file is missing or damaged.
    """
    path = folder / "launch.json"
    content = read_valid(path, _LAUNCH, ("code",))
    code = Path(content.pop("code"))
    try:
        return SlurmSettings.from_dict(content), code
    except ConfigError as error:
        raise DataError(f"{path}: {error.message}", error.help) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read: {error}", _SUBMIT_AGAIN) from error
