"""What a launch under Slurm submits, with commands of Slurm that only record their arguments."""

from __future__ import annotations

import json

import pytest
from fake_slurm import FakeSlurm
from sweep_fixtures import Sweeps

SLURM = ["-m", "hydra/launcher=slurm", "hydra.launcher.wait=false", "training.steps=2"]


def test_a_detached_sweep_submits_its_runs_and_then_its_driver(
    sweeps: Sweeps, slurm: FakeSlurm
) -> None:
    printed = sweeps.run(
        *SLURM, "seed=0,1,2", "+hydra.launcher.driver={mem_gb: 1}",
        "+hydra.job.env_set.SET_FOR_TEST='a b'",
    )  # fmt: skip
    assert "submitted job array 100: 3 runs in 3 jobs" in printed
    assert "runs: 3 submitted" in printed
    assert "submitted driver job 101" in printed
    array, driver = slurm.scripts()
    assert "--array=0-2%3" in array, "submitit lowers array_parallelism to the number of jobs"
    assert "lmlab.sweep.slurm.array_job" in array
    assert "lmlab.sweep.slurm.detached_driver" in driver
    assert "--dependency=afterany:100" in driver, "nothing depends on results"
    assert "--mem=1024MB" in driver
    assert all("export SET_FOR_TEST='a b'" in script for script in (array, driver))
    snapshots = list((sweeps.outputs / "cache" / "code").iterdir())
    assert len(snapshots) == 1
    assert all(f"PYTHONPATH={snapshots[0].resolve()}" in script for script in (array, driver))
    assert sweeps.runs() == {}


def test_the_driver_of_a_search_starts_at_once(sweeps: Sweeps, slurm: FakeSlurm) -> None:
    sweeps.run("experiment=lr_search", *SLURM[1:], "study=search")
    *arrays, driver = slurm.scripts()
    assert arrays and "--dependency" not in driver


def test_branches_of_a_trunk_are_left_to_a_driver_that_starts_at_once(
    sweeps: Sweeps, slurm: FakeSlurm
) -> None:
    horizons = ["schedule=wsd", "training.steps=8,16", "arm=s${training.steps}"]
    printed = sweeps.run(*SLURM[:-1], *horizons, "parent=auto")
    assert "s16/seed0 is the trunk of s8/seed0 from step 7" in printed
    assert "1 run in 1 job" in printed and "1 queued, 1 submitted" in printed
    _, driver = slurm.scripts()
    assert "--dependency" not in driver, "it submits the branch while the trunk trains"
    (job,) = sweeps.outputs.glob("runs/sweeps/*/slurm/*/*.yaml")
    assert "keep_steps:\n  - 7\n" in job.read_text() and "parent: null" in job.read_text()


@pytest.mark.long
def test_a_rerun_submits_only_what_no_job_has(sweeps: Sweeps, slurm: FakeSlurm) -> None:
    sweeps.run(*SLURM, "seed=0,1")
    jobs = []
    for path in sweeps.outputs.glob("*/sweeps/*/slurm/*/*.json"):
        record = json.loads(path.read_text())
        if path.name in ("submission.json", "driver.json"):
            jobs += [(record["name"], index, "PENDING", "None") for index in range(2)]
    slurm.show_jobs(*jobs)
    printed = sweeps.run(*SLURM, "seed=0,1")
    assert "submitted job array" not in printed and "driver job" not in printed
    assert len(slurm.scripts()) == 2
    printed = sweeps.run(*SLURM, "seed=1,2", "study=other", "reuse=true")
    assert "1 run in 1 job" in printed


def test_finished_runs_need_no_driver(sweeps: Sweeps, slurm: FakeSlurm) -> None:
    sweeps.run("-m", "seed=0,1", "training.steps=2", "runtime.threads=1")
    printed = sweeps.run(*SLURM, "seed=0,1", "runtime.threads=1")
    assert "runs: 2 done" in printed
    assert slurm.scripts() == []
    assert (sweeps.outputs / "runs" / "report.md").exists()


def test_plan_only_submits_nothing(sweeps: Sweeps, slurm: FakeSlurm) -> None:
    printed = sweeps.run(*SLURM, "seed=0,1", "hydra.launcher.plan_only=true")
    assert "runs: about 2 runs" in printed and "2 runs: 2 to train" in printed
    assert slurm.scripts() == []


def test_a_refusal_of_slurm_is_reported_with_its_fix(sweeps: Sweeps, slurm: FakeSlurm) -> None:
    slurm.fail("sbatch", "sbatch: error: invalid account")
    printed = sweeps.run(*SLURM, "seed=0,1", code=2)
    assert "Traceback" not in printed
    assert "error: Slurm rejected the jobs: " in printed and "invalid account" in printed
    assert "help: check hydra.launcher.partition" in printed
