"""One job drives a detached sweep, and a launch that cannot submit it says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from lmlab.errors import ConfigError
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm.driver_job import read_driver_launch, submit_driver
from lmlab.sweep.slurm.resources import ArmResources, Resources
from lmlab.sweep.slurm.sbatch import FullQueueError
from lmlab.sweep.slurm.settings import SlurmSettings, SubmissionSettings
from lmlab.sweep.slurm.slurm_records import driver_folder, read_driver_job

SETTINGS = SlurmSettings(
    SubmissionSettings(ArmResources(Resources(cpus=4))),
    wait=False,
    driver=Resources(partition="cpu", time_min=7),
)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "outputs" / "s" / "sweeps" / "id")


def submit(sweep: SweepFolder, after: tuple[str, ...] = ()) -> None:
    submit_driver(SETTINGS, sweep, Path("/code"), after)


def test_a_sweep_has_one_driver_at_a_time(sweep: SweepFolder, slurm: FakeSlurm) -> None:
    submit(sweep, after=("5", "6"))
    (arguments,) = slurm.calls("sbatch")
    assert {"--partition=cpu", "--time=7", "--dependency=afterany:5:6"} <= set(arguments)
    job = read_driver_job(sweep)
    assert job is not None and job["job_id"] == "100"
    slurm.show_jobs((job["name"], 0, "PENDING", "Dependency"))
    submit(sweep)
    assert len(slurm.calls("sbatch")) == 1
    slurm.show_jobs((job["name"], 0, "NODE_FAIL", "None"))
    submit(sweep)
    assert len(slurm.calls("sbatch")) == 2


def test_the_driver_follows_what_the_launch_left(sweep: SweepFolder, slurm: FakeSlurm) -> None:
    submit(sweep)
    settings, code = read_driver_launch(driver_folder(sweep))
    assert code == Path("/code")
    assert settings.wait, "it is the process that waits"
    assert settings.submission == SETTINGS.submission


def test_a_driver_that_slurm_does_not_accept_is_reported(
    sweep: SweepFolder, slurm: FakeSlurm
) -> None:
    slurm.accept_jobs(0)
    with pytest.raises(FullQueueError):
        submit(sweep)
    slurm.fail("squeue")
    with pytest.raises(ConfigError, match="Slurm is not responding, so the driver") as error:
        submit(sweep)
    assert "rerun the command later" in str(error.value.help)
    assert read_driver_job(sweep) is None
