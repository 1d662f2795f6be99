"""The ledger and manifest of a sweep, read back from disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.errors import DataError
from lmlab.run_folder import RunFolder
from lmlab.storage.io import write_json
from lmlab.study.sweep_folder import Failure, SweepFolder, sweeps_in

JOB = Job("rms", 0.003, 7)


def test_the_last_row_of_a_job_replaces_earlier_ones_but_keeps_its_position(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    run = RunFolder(tmp_path / "rms" / "seed7")
    other = Job("post", 0.003, 7)
    sweep.add_entry(JOB, ["search"], run, Failure("exit code 1", sweep.job_file(JOB, "log")))
    sweep.add_entry(other, ["search"], RunFolder(tmp_path / "post" / "seed7"))
    sweep.add_entry(JOB, ["search", "judged"], run)
    first, second = sweep.entries()
    assert (first.job, first.purposes, first.failure) == (JOB, ("search", "judged"), None)
    assert second.job == other


def test_a_ledger_survives_moving_the_output_root(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "outputs" / "norms" / "sweeps" / "abc")
    run = RunFolder(tmp_path / "outputs" / "other" / "rms" / "seed7")
    sweep.add_entry(JOB, ["judged"], run, Failure("killed", sweep.job_file(JOB, "log")))
    os.rename(tmp_path / "outputs", tmp_path / "moved")
    (entry,) = SweepFolder(tmp_path / "moved" / "norms" / "sweeps" / "abc").entries()
    assert entry.run.path == tmp_path / "moved" / "other" / "rms" / "seed7"
    assert entry.failure is not None
    assert entry.failure.log == (
        tmp_path / "moved" / "norms" / "sweeps" / "abc" / "jobs" / "rms+lr-0.003+seed7.log"
    )


def test_job_files_of_one_arm_and_seed_differ_by_number(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    names = {sweep.job_file(Job("a/b", None, 0, number), "yaml").name for number in range(3)}
    assert names == {"a+b+seed0.yaml", "a+b+seed0+1.yaml", "a+b+seed0+2.yaml"}


def test_the_manifest_is_read_back(tmp_path: Path, manifest: Manifest) -> None:
    sweep = SweepFolder.of(manifest, tmp_path)
    assert not sweep.exists
    sweep.write_manifest(manifest)
    assert sweep.exists and sweep.study_folder == tmp_path / "norms"
    assert sweep.manifest() == manifest


@pytest.mark.parametrize("content", ["", "[]", '{"format_version": 1}', "{"])
def test_a_damaged_manifest_is_refused_by_name(tmp_path: Path, content: str) -> None:
    sweep = SweepFolder(tmp_path / "sweeps" / "abc")
    sweep.path.mkdir(parents=True)
    (sweep.path / "manifest.json").write_text(content)
    with pytest.raises(DataError) as caught:
        sweep.manifest()
    assert caught.value.message.startswith(f"{sweep.path / 'manifest.json'}: invalid manifest: ")
    assert caught.value.help == "rerun the study"


def test_records_beside_a_write_up_are_no_sweep(tmp_path: Path, manifest: Manifest) -> None:
    records = SweepFolder(tmp_path / "experiments" / "norms" / "records")
    records.write_manifest(manifest)
    assert not records.exists


def test_the_newest_sweep_is_that_of_the_last_submission(
    tmp_path: Path, manifest: Manifest
) -> None:
    for name in ("ccc", "aaa", "bbb", "aaa"):
        SweepFolder(tmp_path / "study" / "sweeps" / name).write_manifest(manifest)
    os.utime(tmp_path / "study" / "sweeps" / "ccc" / "manifest.json")
    assert names_in(tmp_path / "study") == ["aaa", "bbb", "ccc"]
    copy = tmp_path / "copy"
    for name in ("aaa", "ccc", "bbb"):  # without times, in another order
        (copy / "sweeps" / name).mkdir(parents=True)
        content = (tmp_path / "study" / "sweeps" / name / "manifest.json").read_bytes()
        (copy / "sweeps" / name / "manifest.json").write_bytes(content)
    assert names_in(copy) == ["aaa", "bbb", "ccc"]


def test_sweeps_without_a_number_are_ordered_by_the_records_of_their_runs(
    tmp_path: Path, manifest: Manifest
) -> None:
    for name, time in (("aaa", "2026-02-01"), ("bbb", "2026-03-01"), ("ccc", "2026-01-01")):
        sweep = SweepFolder(tmp_path / "sweeps" / name)
        write_json(sweep.path / "manifest.json", manifest.as_dict())
        run = RunFolder(tmp_path / name / "seed7")
        sweep.add_entry(JOB, ["search"], run)
        write_json(run.path / "status.json", {"status": "done", "time": time})
    assert names_in(tmp_path) == ["bbb", "aaa", "ccc"]
    SweepFolder(tmp_path / "sweeps" / "ccc").write_manifest(manifest)
    assert names_in(tmp_path) == ["ccc", "bbb", "aaa"], "submitted again by this version"


def names_in(study: Path) -> list[str]:
    return [sweep.path.name for sweep in sweeps_in(study)]


@pytest.mark.parametrize(
    "row", [b"{", b"\0" * 40, b'{"arm": "rms"}', b"[1]", b'{"arm": [1], "lr": 1}']
)
def test_rows_of_the_ledger_that_cannot_be_read_are_counted(tmp_path: Path, row: bytes) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.add_entry(JOB, ["search"], RunFolder(tmp_path / "rms" / "seed7"))
    with open(sweep.path / "ledger.jsonl", "ab") as file:
        file.write(row + b"\n")
    assert [entry.job for entry in sweep.entries()] == [JOB]
    assert sweep.scan_entries()[1] == 1


def test_missing_or_damaged_arm_costs_are_empty(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    assert sweep.arm_costs() == {}
    (tmp_path / "facts.json").write_text("{")
    assert sweep.arm_costs() == {}
    sweep.write_arm_costs({"rms": {"parameters": 5}})
    assert sweep.arm_costs() == {"rms": {"parameters": 5}}


@pytest.mark.parametrize("place", ["..", ".", "../.."])
def test_a_row_that_leads_to_its_own_sweep_names_no_run(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    sweep = SweepFolder(tmp_path / "norms" / "sweeps" / "id")
    sweep.path.mkdir(parents=True)
    row = {"arm": "rms", "lr": None, "seed": 0, "number": 0, "purposes": ["judged"], "run": place}
    (sweep.path / "ledger.jsonl").write_text(json.dumps(row) + "\n")
    assert sweep.scan_entries() == ([], 1)
    assert f"run={place}: expected the folder of a run" in caplog.text
