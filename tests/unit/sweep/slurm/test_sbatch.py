"""The batch script of a job array."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm

from lmlab.errors import ConfigError
from lmlab.sweep.slurm.commands import UnreachableError
from lmlab.sweep.slurm.resources import Resources
from lmlab.sweep.slurm.sbatch import FullQueueError, check_accepted, submit_array


def submit(folder: Path, resources: Resources | None = None, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "name": "s-token", "jobs": 3, "resources": resources or Resources(),
        "code": Path("/code of/it's"), "array_parallelism": 2, "signal_seconds": 90,
    }  # fmt: skip
    return submit_array(folder, "lmlab.module", **(arguments | changes))


def directives(script: str) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script, flags=re.M)
    return {key: value for key, value in found}


def test_the_request_is_in_the_batch_script(tmp_path: Path, slurm: FakeSlurm) -> None:
    resources = Resources(
        partition="gpu", ranks=4, nodes=2, gpus=1, cpus=3, mem_gb=1.5, time_min=7,
        constraint="a100", account="me", qos="low", sbatch=("--exclude=node7", "--exclusive"),
    )  # fmt: skip
    assert submit(tmp_path, resources, after=["5", "6"]) == "100"
    found = directives(slurm.scripts()[0])
    expected = {
        "job-name": "s-token", "partition": "gpu", "nodes": "2", "ntasks-per-node": "2",
        "gpus-per-node": "2", "cpus-per-task": "3", "mem": "1536MB", "time": "7",
        "constraint": "a100", "account": "me", "qos": "low", "exclude": "node7",
        "array": "0-2%2", "dependency": "afterany:5:6", "signal": "USR2@90",
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert {"requeue", "exclusive"} <= found.keys()


def test_options_that_say_more_than_a_setting_replace_or_extend_it(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    options = ("--gpus-per-node=a100:2", "--mem=0", "--dependency=afterok:9")
    submit(tmp_path, Resources(gpus=2, sbatch=options), after=["5"])
    submit(tmp_path, Resources(sbatch=options))
    first, second = ([one for one in call if one.startswith(("--gpus", "--mem", "--dep"))] for call
                     in slurm.calls("sbatch"))  # fmt: skip
    assert sorted(first) == [
        "--dependency=afterok:9,afterany:5", "--gpus-per-node=a100:2", "--mem=0",
    ]  # fmt: skip
    assert "--dependency=afterok:9" in second


def test_the_defaults_leave_the_choice_to_the_cluster(tmp_path: Path, slurm: FakeSlurm) -> None:
    submit(tmp_path)
    absent = {"partition", "mem", "gpus-per-node", "constraint", "account", "qos", "dependency"}
    assert not absent & directives(slurm.scripts()[0]).keys()


def test_jobs_import_the_snapshot_first_and_ignore_early_signals(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    submit(tmp_path, Resources(setup=("module load cuda",)))
    lines = slurm.scripts()[0].splitlines()
    setup = lines.index("module load cuda")
    assert "trap : TERM USR2" in lines[:setup]
    (path,) = [line for line in lines[setup:] if line.startswith("export PYTHONPATH=")]
    assert shlex.split(path)[1].startswith("PYTHONPATH=/code of/it's")
    (command,) = [line for line in lines if line.startswith("srun ")]
    arguments = shlex.split(command)
    program = [sys.executable, "-u", "-m", "lmlab.module", str(tmp_path.resolve())]
    assert arguments[-len(program) :] == program
    assert 'trap "" USR2 TERM; exec "$@"' in arguments


def test_several_ranks_write_one_log_and_end_together(tmp_path: Path, slurm: FakeSlurm) -> None:
    submit(tmp_path)
    submit(tmp_path, Resources(ranks=2))
    one, several = slurm.scripts()
    assert "--kill-on-bad-exit=1" not in one
    assert "--kill-on-bad-exit=1" in several
    assert f"--output={tmp_path.resolve()}/%A_%a_0_log.out" in shlex.split(several.splitlines()[-1])


def test_a_refusal_names_the_settings_to_check(tmp_path: Path, slurm: FakeSlurm) -> None:
    slurm.fail("sbatch", "sbatch: error: invalid partition specified: gpu")
    with pytest.raises(ConfigError, match="invalid partition specified: gpu") as error:
        submit(tmp_path)
    assert "hydra.launcher.partition" in str(error.value.help)


@pytest.mark.parametrize(
    ("name", "shown"), [("100%", "%"), ("a\\b", "a backslash"), ("a\nb", "a line break")]
)
def test_a_path_that_slurm_would_misread_is_refused(
    tmp_path: Path, slurm: FakeSlurm, name: str, shown: str
) -> None:
    with pytest.raises(ConfigError, match=f"output_root: expected a path without {shown}"):
        submit(tmp_path / name)
    assert slurm.calls("sbatch") == []


def test_only_arguments_decide_what_is_submitted(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables such as SBATCH_TIMELIMIT beat the lines of a script, but not arguments."""
    variables = ("SBATCH_TIMELIMIT", "SBATCH_EXPORT", "SLURM_JOB_ID", "SLURM_MEM_PER_CPU")
    for name in variables:
        monkeypatch.setenv(name, "1")
    submit(tmp_path, Resources(partition="a b", mem_gb=1, sbatch=("--comment=it's #1",)))
    (arguments,) = slurm.calls("sbatch")
    assert {
        "--time=240", "--partition=a b", "--mem=1024MB", "--comment=it's #1", "--array=0-2%2",
        "--signal=USR2@90", "--requeue", "--job-name=s-token",
    } <= set(arguments)  # fmt: skip
    assert not [one for one in arguments if one.startswith("--wckey")]
    assert not set(variables) & slurm.environment(100).keys()
    assert "PATH" in slurm.environment(100)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: "
         "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
         FullQueueError),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
         FullQueueError),
        ("sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission "
         "failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time "
         "limits)", ConfigError),
        ("sbatch: error: Unable to contact slurm controller", UnreachableError),
    ],
)  # fmt: skip
def test_what_may_be_accepted_later_is_not_a_refusal(
    tmp_path: Path, slurm: FakeSlurm, error: str, expected: type[Exception]
) -> None:
    slurm.fail("sbatch", error)
    with pytest.raises(expected):
        submit(tmp_path)


def test_a_submission_whose_answer_is_lost_is_found_by_its_name(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    slurm.fail("sbatch", "sbatch: error: Socket timed out on send/recv operation")
    slurm.answer("squeue", "17\n")
    assert submit(tmp_path) == "17"
    assert slurm.calls("squeue")[0][-2:] == ["s-token", "--format=%F"]


@pytest.mark.parametrize(
    ("error", "is_refused"),
    [
        ("allocation failure: Invalid account or account/partition combination specified", True),
        ("sbatch: unrecognized option '--bogus'", True),
        ("allocation failure: Requested reservation is invalid", True),
        # Nodes may be down for now.
        ("allocation failure: Requested node configuration is not available", False),
        ("sbatch: error: AssocMaxSubmitJobLimit\nallocation failure: Job violates accounting/QOS "
         "policy (job submit limit, user's size and/or time limits)", False),
    ],
)  # fmt: skip
def test_slurm_is_asked_whether_it_would_accept_a_request(
    slurm: FakeSlurm, error: str, is_refused: bool
) -> None:
    check_accepted(Resources(partition="gpu"), 90)
    (arguments,) = slurm.calls("sbatch")
    assert {"--test-only", "--partition=gpu", "--time=240", "--wrap=true"} <= set(arguments)
    slurm.fail("sbatch", error)
    with pytest.raises(ConfigError) if is_refused else contextlib.nullcontext():
        check_accepted(Resources(), 90)


@pytest.mark.parametrize(
    ("printed", "queued", "number"),
    [
        ("17\n", "", "17"),
        ("17;cluster\n", "", "17"),
        ("--- Welcome to cluster 9 ---\n--> Verifying account 5\n17\n", "", "17"),
        ("Submitted batch job 17\nHave a nice day\n", "", "17"),
        ("thank you\n", "17\n", "17"),
    ],
)
def test_the_number_is_read_from_what_sbatch_prints(
    tmp_path: Path, slurm: FakeSlurm, printed: str, queued: str, number: str
) -> None:
    (slurm.folder / "sbatch").write_text(f"#!/bin/sh\nprintf '%s' '{printed}'\n")
    slurm.answer("squeue", queued)
    assert submit(tmp_path) == number
    if queued:
        slurm.answer("squeue", "")
        with pytest.raises(ConfigError, match="expected the number of a job, found 'thank you'"):
            submit(tmp_path)
