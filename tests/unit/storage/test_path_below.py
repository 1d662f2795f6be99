"""A path in a file from elsewhere stays below its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmlab.demos import CONTENTS_FILE
from lmlab.design.job import Job
from lmlab.errors import DataError
from lmlab.hf.weight_files import weight_files
from lmlab.publish import publish
from lmlab.run_folder import RunFolder
from lmlab.storage.fields import warn_once
from lmlab.storage.path_below import is_in_outputs, path_below
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.submission_records import Assignment, RunOwners, SubmissionRecords


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file and links, beside a file that is not part of it."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "in.txt").symlink_to("a.txt")
    (folder / "sub" / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    return folder


OUTSIDE = ["../secret.txt", "sub/../../secret.txt", "..", "out.txt", "sub/up/secret.txt", "/etc/x",
           "../model2/a.txt", "", "a\0b", 3, None, ["a.txt"]]  # fmt: skip


def test_names_inside_are_followed(folder: Path) -> None:
    for name in ("a.txt", "in.txt", "sub/../a.txt", "./a.txt", "sub/new.txt"):
        assert path_below(folder, name, "index.json: files") == folder / name


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_are_one_error(folder: Path, name: object) -> None:
    with pytest.raises(DataError, match=r"^index\.json: files="):
        path_below(folder, name, "index.json: files")


def test_the_links_of_the_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    blob = tmp_path / "models--a--b" / "blobs" / "1234"
    blob.parent.mkdir()
    blob.write_text("weights")
    (snapshot / "model-1.safetensors").symlink_to(blob)
    (snapshot / "out").symlink_to(tmp_path)
    assert path_below(snapshot, "model-1.safetensors", "index").read_text() == "weights"
    with pytest.raises(DataError, match="leads out"):
        path_below(snapshot, "out/x", "index")


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_index_of_weights_names_files_of_its_folder(folder: Path, name: object) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "a.txt"}}))
    assert weight_files(folder) == [folder / "a.txt"]
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(DataError, match=r"model\.safetensors\.index\.json: "):
        weight_files(folder)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_demo_publishes_files_of_its_folder_only(
    folder: Path, tmp_path: Path, name: object
) -> None:
    content = {"title": "demo", "command": "c", "files": ["a.txt", name]}
    (folder / CONTENTS_FILE).write_text(json.dumps(content))
    with pytest.raises(DataError, match=CONTENTS_FILE):
        publish(folder, tmp_path / "published")
    assert not list((tmp_path / "published").glob("*"))


@pytest.mark.parametrize(
    ("path", "is_valid"),
    [
        ("../../rms/seed0", True),
        ("../../../other/rms/seed0", True),
        ("../../../../elsewhere/seed0", False),
        ("/etc", False),
        ("a\0b", False),
        ("../../linked/seed0", True),
    ],
)
def test_a_ledger_names_runs_of_its_output_folder(
    tmp_path: Path, path: str, is_valid: bool
) -> None:
    sweep = SweepFolder(tmp_path / "outputs" / "norms" / "sweeps" / "abc")
    sweep.path.mkdir(parents=True)
    elsewhere = tmp_path / "disk" / "linked" / "seed0"
    elsewhere.mkdir(parents=True)
    (tmp_path / "outputs" / "norms" / "linked").symlink_to(elsewhere.parent)
    row = {"arm": "a", "lr": None, "seed": 0, "number": 0, "purposes": ["run"], "run": path}
    (sweep.path / "ledger.jsonl").write_text(json.dumps(row) + "\n")
    entries, num_damaged = sweep.scan_entries()
    assert (len(entries), num_damaged) == ((1, 0) if is_valid else (0, 1))


def test_a_run_behind_a_link_stays_in_its_ledger(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "outputs" / "norms" / "sweeps" / "abc")
    sweep.path.mkdir(parents=True)
    (tmp_path / "disk" / "rms" / "seed0").mkdir(parents=True)
    (tmp_path / "outputs" / "norms" / "rms").symlink_to(tmp_path / "disk" / "rms")
    run = RunFolder(tmp_path / "outputs" / "norms" / "rms" / "seed0")
    sweep.add_entry(Job("rms", None, 0), ["run"], run)
    (entry,) = sweep.entries()
    assert entry.run.path.resolve() == run.path.resolve()


def test_records_of_submissions_name_those_of_their_output_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job, root = Job("a", None, 0), tmp_path / "outputs"
    records, theirs = (
        SubmissionRecords(SweepFolder(folder / "s" / "sweeps" / "id"), "cluster")
        for folder in (root, tmp_path / "elsewhere")
    )
    owners = RunOwners(root, "cluster")
    owners.folder.mkdir(parents=True)
    for each, is_followed in ((records, True), (theirs, False)):
        warn_once.cache_clear()
        caplog.clear()
        submission = each.create()
        submission.write("s", "1", [Assignment(job, "x", "0.yaml", 0)])
        owners.set_owner("x", submission, 0)
        owner = owners.owner("x")
        assert (owner is not None) == is_followed == (not caplog.messages)
        records.record_adoption(Job("b", None, 0), submission, "x")
        assert len(list(records.adopted())) == 1
    assert sum("leads out of" in message for message in caplog.messages) == 2


def test_links_in_an_output_folder_lead_to_parts_of_it(tmp_path: Path) -> None:
    root, disk = tmp_path / "outputs", tmp_path / "disk"
    (disk / "rms" / "seed0").mkdir(parents=True)
    (root / "norms").mkdir(parents=True)
    (root / "norms" / "rms").symlink_to(disk / "rms")
    assert is_in_outputs(root / "norms" / "rms" / "seed0", root)
    assert is_in_outputs(root / ".." / "disk" / "rms" / "seed0", root)
    assert not is_in_outputs(disk / "other", root)
    assert not is_in_outputs(root, root)
