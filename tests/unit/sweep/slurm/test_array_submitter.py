"""How runs are divided into job arrays, and what each job finds in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from slurm_sweep import SlurmSweep

from lmlab.errors import ConfigError
from lmlab.sweep.slurm.array_submitter import ArraySubmitter, divide
from lmlab.sweep.slurm.resources import ArmResources, Resources
from lmlab.sweep.slurm.settings import SubmissionSettings
from lmlab.sweep.slurm.slurm_records import run_owners
from lmlab.sweep.submission_records import Assignment


@pytest.fixture
def sweep(tmp_path: Path, overrides: list[str], slurm: FakeSlurm) -> SlurmSweep:
    return SlurmSweep(tmp_path, overrides)


@pytest.fixture
def submitter(sweep: SlurmSweep) -> ArraySubmitter:
    settings = SubmissionSettings(ArmResources(Resources()))
    owners = run_owners(sweep.root / "outputs")
    return ArraySubmitter(sweep.folder, "s", settings, sweep.root, owners, sweep.printed.append)


def test_runs_are_submitted_as_one_array_per_request(sweep: SlurmSweep, slurm: FakeSlurm) -> None:
    resources = ArmResources(Resources(), {"large": {"time_min": 7}}, arms_per_job=2)
    runs = [sweep.run(0), sweep.run(1), sweep.run(2), sweep.run(0, "large")]
    executor = sweep.submit(*runs, executor=sweep.executor(resources))
    arrays = [
        [(one.job.arm, one.job.seed, one.index) for one in s.runs()] for s in sweep.submissions
    ]
    assert arrays == [[("a", 0, 0), ("a", 1, 0), ("a", 2, 1)], [("large", 0, 0)]]
    assert [s.read()["resources"]["time_min"] for s in sweep.submissions] == [240, 7]
    assert executor.job_ids() == ["100", "101"]
    assert sweep.printed[0] == "submitted job array 100: 3 runs in 2 jobs"
    assert {run.state for run in runs} == {"submitted"}
    assert runs[2].log == sweep.submissions[0].folder / "100_1_0_log.out"
    shared, alone = (
        (sweep.submissions[0].folder / f"{number}.yaml").read_text() for number in (0, 2)
    )
    assert "beside: 1\n" in shared and "beside: 0\n" in alone


@pytest.mark.parametrize(
    ("jobs", "max_array_size", "parallelism", "expected"),
    [
        (5, None, 64, [(5, 64, 0)]),
        (5, 5, 3, [(5, 3, 0)]),
        (9, 4, 9, [(3, 3, 0), (3, 3, 1), (3, 3, 2)]),
        (10, 4, 2, [(2, 1, 0), (3, 1, 0), (2, 1, 1), (3, 1, 1)]),
        (10, 4, 1, [(3, 1, 0), (3, 1, 0), (4, 1, 0)]),
        (3, 1, 2, [(1, 1, 0), (1, 1, 1), (1, 1, 1)]),
        (2002, 1001, 64, [(1001, 32, 0), (1001, 32, 1)]),
    ],
)
def test_arrays_of_a_request_share_its_parallelism(
    jobs: int, max_array_size: int | None, parallelism: int, expected: list[tuple[int, int, int]]
) -> None:
    parts = divide([[] for _ in range(jobs)], max_array_size, parallelism)
    assert [(len(part.jobs), part.parallelism, part.lane) for part in parts] == expected
    lanes = {part.lane: part.parallelism for part in parts}
    assert sum(lanes.values()) == parallelism or jobs <= parallelism


def test_more_jobs_than_an_array_may_have_become_several_arrays(
    sweep: SlurmSweep, slurm: FakeSlurm
) -> None:
    slurm.answer("scontrol", "MaxArraySize            = 2\nMaxJobCount             = 10000\n")
    runs = [sweep.run(seed) for seed in range(5)]
    resources = ArmResources(Resources(), arms_per_job=2)
    settings = SubmissionSettings(resources, array_parallelism=1, poll_seconds=0.0)
    sweep.submit(*runs, executor=sweep.executor(settings=settings))
    arrays = [[(one.job.seed, one.index) for one in s.runs()] for s in sweep.submissions]
    assert arrays == [[(0, 0), (1, 0)], [(2, 0), (3, 0), (4, 1)]]
    first, second = slurm.calls("sbatch")
    assert "--array=0-0%1" in first and "--array=0-1%1" in second
    assert "--dependency=afterany:100" in second, "one job at a time, of both arrays together"
    assert [run.log.name for run in runs[:1] + runs[-1:]] == ["100_0_0_log.out", "101_1_0_log.out"]


@pytest.mark.parametrize(
    ("step_before", "attempt", "expected"), [(None, 0, 0), (9, 2, 3), (10, 2, 3), (8, 2, 0)]
)
def test_attempts_are_counted_only_without_progress(
    sweep: SlurmSweep, submitter: ArraySubmitter, step_before: int | None, attempt: int,
    expected: int,
) -> None:  # fmt: skip
    run = sweep.run(0)
    run.folder.write_status("preempted", step=9)
    previous = {}
    if step_before is not None:
        previous[run.key] = Assignment(run.job, "x", "0.yaml", 0, step_before, attempt)
    ((_, _, assignment),) = submitter.submit([run], lambda run: "x", previous)
    assert (assignment.step, assignment.attempt) == (9, expected)


def test_a_refused_array_is_on_record_but_has_no_number(
    sweep: SlurmSweep, submitter: ArraySubmitter, slurm: FakeSlurm
) -> None:
    """A launcher killed within sbatch leaves the same state, which the next one can resolve."""
    slurm.fail("sbatch", "sbatch: error: no such account")
    with pytest.raises(ConfigError, match="no such account"):
        list(submitter.submit([sweep.run(0)], lambda run: "x", {}))
    (submission,) = sweep.submissions
    assert submission.read()["job_id"] is None
    owner = run_owners(sweep.root / "outputs").owner("x")
    assert owner is not None
    assert owner[0].folder == submission.folder.resolve()
