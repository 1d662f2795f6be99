"""Records of submissions survive any kill of a launcher, and serve any cluster."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from lmlab.design.job import Job
from lmlab.errors import DataError
from lmlab.storage.fields import warn_once
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.submission_records import (
    Assignment,
    RunOwners,
    Submission,
    SubmissionRecords,
    identity_key,
)


@pytest.fixture
def records(tmp_path: Path) -> SubmissionRecords:
    return SubmissionRecords(SweepFolder(tmp_path / "outputs" / "s" / "sweeps" / "id"), "cluster")


def an_assignment(arm: str, identity: str = "x", index: int = 0) -> Assignment:
    return Assignment(Job(arm, 1e-3, 7), identity, f"{index}.yaml", index, step=5, attempt=1)


def submitted(records: SubmissionRecords, *runs: Assignment) -> Submission:
    submission = records.create()
    submission.write("my study", None, runs, resources={"cpus": 2})
    return submission


def test_a_record_is_complete_before_the_number_of_the_array_is_known(
    records: SubmissionRecords, tmp_path: Path
) -> None:
    submission = submitted(records, an_assignment("a"), an_assignment("b", index=1))
    assert submission.read()["job_id"] is None
    assert submission.runs() == [an_assignment("a"), an_assignment("b", index=1)]
    assert submission.output_root == tmp_path / "outputs"
    assert submission.read()["name"] == f"my-study-{submission.folder.name}"
    submission.set_job_id("81")
    assert submission.read()["job_id"] == "81"
    assert submission.read()["resources"] == {"cpus": 2}
    assert submission.runs() == [an_assignment("a"), an_assignment("b", index=1)]


def test_a_record_of_the_first_format_stays_readable(records: SubmissionRecords) -> None:
    """The content of a file that an earlier version wrote."""
    submission = records.create()
    (submission.folder / "submission.json").write_text(json.dumps({
        "name": "s-0123456789", "job_id": "4", "time": "2026-01-01T00:00:00Z",
        "output_root": "/o", "resources": {},
        "runs": [{"job": {"arm": "a", "lr": 0.001, "seed": 7, "number": 0}, "identity": "x",
                  "frozen": "0.yaml", "index": 0, "step": 5, "attempt": 1}],
    }))  # fmt: skip
    assert submission.runs() == [an_assignment("a")]


@pytest.mark.parametrize("content", [None, "", "{", '{"runs": '])
def test_a_missing_or_damaged_file_reads_as_empty(
    records: SubmissionRecords, content: str | None
) -> None:
    submission = records.create()
    if content is not None:
        (submission.folder / "submission.json").write_text(content)
        (submission.folder / "end-0.json").write_text(content)
    assert (submission.read(), submission.runs(), submission.exit_codes(0)) == ({}, [], {})


def test_exit_codes_are_kept_by_job_until_its_next_session(records: SubmissionRecords) -> None:
    submission = records.create()
    submission.write_exit_codes(0, {"0.yaml": 1})
    submission.write_exit_codes(1, {"1.yaml": 0})
    submission.remove_exit_codes(0)
    submission.remove_exit_codes(0)
    assert (submission.exit_codes(0), submission.exit_codes(1)) == ({}, {"1.yaml": 0})


def test_submissions_within_one_second_are_ordered_by_their_folders(
    records: SubmissionRecords,
) -> None:
    made = []
    for _ in range(4):
        made.append(submitted(records, an_assignment("a")))
        time.sleep(0.02)
    assert records.submissions() == made
    record = made[-1].folder / "submission.json"
    record.write_text(json.dumps(made[-1].read() | {"time": "2000-01-01T00:00:00Z"}))
    assert records.submissions()[0] == made[-1]


def test_the_latest_submission_of_a_run_counts_before_an_adopted_one(
    records: SubmissionRecords, tmp_path: Path
) -> None:
    other = SubmissionRecords(SweepFolder(tmp_path / "outputs" / "t" / "sweeps" / "id"), "cluster")
    theirs = submitted(other, an_assignment("theirs", "x"), an_assignment("more", "y", 1))
    records.record_adoption(Job("a", None, 7), theirs, "x")
    records.record_adoption(Job("b", None, 7), theirs, "y")
    assert {job.arm: run.identity for job, (_, run) in records.latest().items()} == {
        "a": "x", "b": "y",
    }  # fmt: skip
    first = records.create()
    first.write("s", "1", [Assignment(Job("a", None, 7), "x", "0.yaml", 0)])
    assert records.latest()[Job("a", None, 7)][0] == first
    assert records.latest()[Job("b", None, 7)][0].folder == theirs.folder.resolve()


def test_two_launchers_do_not_see_each_others_records(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "outputs" / "s" / "sweeps" / "id")
    one, other = SubmissionRecords(sweep, "one"), SubmissionRecords(sweep, "other")
    submission = submitted(one, an_assignment("a"))
    RunOwners(tmp_path / "outputs", "one").set_owner("x", submission, 0)
    assert other.submissions() == []
    assert RunOwners(tmp_path / "outputs", "other").owner("x") is None


def test_the_owner_of_a_run_is_found_from_any_folder(
    tmp_path: Path, records: SubmissionRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    submission = Submission(Path(os.path.relpath(records.create().folder)))
    owners = RunOwners(tmp_path / "outputs", "cluster")
    owners.set_owner("x", submission, 3)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    owner = owners.owner("x")
    assert owner is not None
    assert owner[0].folder.is_dir()
    assert owner[1] == 3
    assert owners.owner("y") is None


def test_the_key_of_an_identity_ignores_the_order_of_its_settings() -> None:
    assert identity_key({"a": 1, "b": 2}) == identity_key({"b": 2, "a": 1})
    assert identity_key({"a": 1}) != identity_key({"a": 2})
    assert len(identity_key({})) == 32


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"job_id": "../1"}, "job_id='../1': expected the number of a job or null"),
        ({"name": "a\0b"}, "name='a\\x00b': expected the name of a job"),
        ({"runs": 3}, "runs=3: expected a list of objects"),
        ({"time": []}, "time=a list of 0: expected a text"),
    ],
)
def test_a_record_with_a_wrong_field_counts_as_missing_and_is_named(
    records: SubmissionRecords,
    change: dict[str, Any],
    named: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_once.cache_clear()
    submission = submitted(records, an_assignment("a"))
    path = submission.folder / "submission.json"
    path.write_text(json.dumps(submission.read() | change))
    assert (submission.read(), submission.runs(), records.submissions()) == ({}, [], [])
    assert f"{path}: {named}" in caplog.messages[0]
    with pytest.raises(DataError, match=re.escape(str(path))):
        submission.submitted()


@pytest.mark.parametrize("frozen", ["../0.yaml", "/0.yaml", "a\0b", None])
def test_a_run_whose_configuration_is_elsewhere_is_left_out(
    records: SubmissionRecords, frozen: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    submission = submitted(records, an_assignment("a"), an_assignment("b", index=1))
    content = submission.read()
    content["runs"][0]["frozen"] = frozen
    (submission.folder / "submission.json").write_text(json.dumps(content))
    assert submission.runs() == [an_assignment("b", index=1)]
    assert "frozen=" in caplog.messages[0]


@pytest.mark.parametrize("code", [-1, 256, "1", None, 1.5, True])
def test_exit_codes_are_those_of_processes(
    records: SubmissionRecords, code: object, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    submission = records.create()
    (submission.folder / "end-0.json").write_text(json.dumps({"0.yaml": 0, "1.yaml": code}))
    assert submission.exit_codes(0) == {}
    assert "1.yaml: expected an exit code" in caplog.messages[0]
