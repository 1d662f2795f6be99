from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.errors import DiskError
from lmlab.storage import io


def test_an_atomic_write_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.bin"
    io.atomic_write_bytes(target, b"old")
    io.atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_a_failed_write_keeps_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    io.atomic_write_bytes(target, b"old")

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(
        DiskError, match=r"cannot write .*/file: the disk is full\nhelp: free some space"
    ):
        io.atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    script = (
        "import os, sys; os.umask(0o027); from lmlab.storage import io; "
        "io.atomic_write_text(sys.argv[1], 'x')"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "f")], check=True)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DiskError, match="taken/inside: a parent of this path is a file"):
        io.make_folder(tmp_path / "taken" / "inside")


def test_a_folder_is_checked_without_being_created(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for name, message in (
        ("taken", "taken: expected a folder, found a file"),
        ("taken/inside/deeper", "deeper: a parent of this path is a file"),
    ):
        with pytest.raises(DiskError, match=message):
            io.check_creatable(tmp_path / name)
    for name in ("", "new", "new/inside"):
        io.check_creatable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the system has no /proc")
def test_a_path_where_nothing_can_be_created_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="/proc/lmlab: nothing can be created there"):
        io.make_folder(Path("/proc/lmlab"))
    with pytest.raises(DiskError, match=r"/proc/figure\.png: nothing can be created there"):
        io.atomic_write_bytes(Path("/proc/figure.png"), b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DiskError, match="loop/inside: its symbolic links form a loop"):
        io.make_folder(tmp_path / "loop" / "inside")


def test_a_partial_row_is_skipped_and_the_next_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    io.append_jsonl(path, {"step": 1})
    with open(path, "ab") as file:
        file.write(b'{"step": 2, "lo')  # a kill in the middle of a write
    assert io.read_jsonl(path) == [{"step": 1}]
    io.append_jsonl(path, {"step": 3})
    assert io.read_jsonl(path) == [{"step": 1}, {"step": 3}]


def test_a_missing_json_lines_file_has_no_rows(tmp_path: Path) -> None:
    assert io.read_jsonl(tmp_path / "none.jsonl") == []


def test_hash_file_detects_a_change_of_content(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"abc")
    # SHA-256 of "abc": FIPS 180-4, example 1.
    assert io.hash_file(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    path.write_bytes(b"abcd")
    assert not io.hash_file(path).startswith("ba7816bf")


def test_hash_json_ignores_the_order_of_keys_and_detects_values() -> None:
    assert io.hash_json({"a": 1, "b": [2, 3]}) == io.hash_json({"b": [2, 3], "a": 1})
    assert io.hash_json({"a": 1}) != io.hash_json({"a": 2})
    assert io.hash_json({"a": 1}) != io.hash_json({"a": "1"})


def test_write_json_round_trips_unicode(tmp_path: Path) -> None:
    value = {"naïve": ["é", 1.5, None]}
    io.write_json(tmp_path / "v.json", value)
    assert io.read_json(tmp_path / "v.json") == value
    assert "naïve" in (tmp_path / "v.json").read_text("utf-8")
    assert json.loads((tmp_path / "v.json").read_bytes()) == value
