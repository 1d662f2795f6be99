"""Hashes follow the content: in the pass that reads it, or remembered for a state of the file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from lmlab.storage import content_hash, file_memo
from lmlab.storage.content_hash import FilesHash, remembered_hash
from lmlab.storage.io import hash_file, hash_json

AGE_SECONDS = 100


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are written in the test count as old; their memos are written later."""
    plain = file_memo.write_sealed

    def write(path: Path, content: dict[str, object]) -> None:
        plain(path, content)
        stamp = time.time() + AGE_SECONDS
        os.utime(path, (stamp, stamp))

    monkeypatch.setattr(file_memo, "write_sealed", write)
    monkeypatch.setattr(file_memo.time, "time_ns", lambda: int((time.time() + AGE_SECONDS) * 1e9))


def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []
    plain = content_hash.hash_content

    def read(path: Path) -> str:
        found.append(path)
        return plain(path)

    monkeypatch.setattr(content_hash, "hash_content", read)
    return found


def test_files_are_hashed_as_they_are_read() -> None:
    found = FilesHash()
    prefixes = []
    for content in (b"first", b"", b"third"):
        for byte in content:
            found.update(bytes([byte]))
            prefixes.append(found.prefix())
        found.end_file()
    hashes = [sha256(b"first"), sha256(b""), sha256(b"third")]
    assert found.hashes == hashes
    assert found.combined == hash_json(hashes)
    assert len(set(prefixes)) == len(prefixes), "every prefix has its own hash"
    assert prefixes[4] == hash_json([sha256(b"first")])
    assert prefixes[5] == hash_json([*hashes[:2], sha256(b"t")])


def test_marks_keep_the_hash_of_a_position() -> None:
    found = FilesHash()
    expected = {}
    for offset in range(5):
        found.mark(0, offset)
        expected[offset] = found.prefix()
        found.update(b"x")
    assert found.take_mark(0, 3) == expected[3]
    assert found.take_mark(0, 4) == expected[4]
    with pytest.raises(KeyError):
        found.take_mark(0, 2)


@pytest.mark.usefixtures("later")
def test_a_file_is_read_once_per_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = tmp_path / "x.bin", reads(monkeypatch)
    path.write_bytes(b"content")
    assert [remembered_hash(path) for _ in range(3)] == [sha256(b"content")] * 3
    assert found == [path]
    stat = path.stat()
    for change in (b"CONTENT", b"zontent"):
        path.write_bytes(change)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert remembered_hash(path) == sha256(change)
    assert len(found) == 3


@pytest.mark.usefixtures("later")
def test_a_memo_that_is_damaged_or_of_another_file_is_not_believed(tmp_path: Path) -> None:
    path, other = tmp_path / "x.bin", tmp_path / "y.bin"
    path.write_bytes(b"content")
    other.write_bytes(b"CONTENT")
    remembered_hash(other)
    expected = remembered_hash(path)
    memo = tmp_path / ".x.bin.checked"
    intact = memo.read_text()
    forged = json.dumps(json.loads(intact) | {"result": {"sha256": sha256(b"other")}})
    for text in ("", "null", "{}", forged, intact[:-9], (tmp_path / ".y.bin.checked").read_text()):
        memo.write_text(text)
        assert remembered_hash(path) == expected
    copied = tmp_path / "copy"
    shutil.copytree(tmp_path, copied)
    (copied / "x.bin").write_bytes(b"CONTENT")
    assert remembered_hash(copied / "x.bin") == sha256(b"CONTENT")
    memo.unlink()
    memo.mkdir()
    assert remembered_hash(path) == expected


def test_nothing_is_remembered_of_a_file_that_has_just_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another write in the same tick of the file system's clock would leave the same state."""
    path, found = tmp_path / "x.bin", reads(monkeypatch)
    path.write_bytes(b"content")
    state = file_memo.file_state(path)
    monkeypatch.setattr(file_memo, "file_state", lambda path: state)
    monkeypatch.setattr("lmlab.storage.io.file_state", lambda path: state)
    for content in (b"content", b"CONTENT"):
        path.write_bytes(content)
        assert remembered_hash(path) == hash_file(path) == sha256(content)
    assert found == [path, path]
    # Nor is a memo believed that says so, whatever this machine's clock: it is no later.
    believed = {"states": [list(state)], "result": {"sha256": sha256(b"content")}}
    file_memo.write_sealed(tmp_path / ".x.bin.checked", believed)
    assert remembered_hash(path) == sha256(b"CONTENT")
