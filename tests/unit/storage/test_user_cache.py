"""The user's cache saves time and nothing else depends on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.errors import DiskError
from lmlab.storage import user_cache

HEADER, DATA = {"a": [1, "é"]}, bytes(range(256))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_written_file_is_read_back() -> None:
    assert not user_cache.exists("things", "a.thing")
    assert user_cache.read("things", "a.thing") is None
    user_cache.write("things", "a.thing", HEADER, DATA)
    assert user_cache.exists("things", "a.thing")
    assert user_cache.read("things", "a.thing") == (HEADER, DATA)


def test_only_the_newest_files_are_kept() -> None:
    for number in range(5):
        user_cache.write("things", f"{number}.thing", HEADER, DATA, max_files=2)
    assert [user_cache.exists("things", f"{number}.thing") for number in range(5)][3:] == [True] * 2
    assert sum(user_cache.exists("things", f"{number}.thing") for number in range(5)) == 2


def test_a_damaged_file_is_ignored() -> None:
    user_cache.write("things", "a.thing", HEADER, DATA)
    folder = user_cache.folder("things")
    assert folder is not None
    path = folder / "a.thing"
    intact = path.read_bytes()
    for index in range(len(intact)):
        path.write_bytes(intact[:index])
        assert user_cache.read("things", "a.thing") is None, index
        path.write_bytes(intact[:index] + bytes([intact[index] ^ 0x40]) + intact[index + 1 :])
        assert user_cache.read("things", "a.thing") is None, index
    path.unlink()
    path.mkdir()
    assert user_cache.read("things", "a.thing") is None
    with pytest.raises(DiskError, match="XDG_CACHE_HOME"):
        user_cache.write("things", "a.thing", HEADER, DATA)


def test_a_file_of_another_name_or_kind_is_ignored_and_said(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as machine code for another processor."""
    user_cache.write("things", "a.thing", HEADER, DATA)
    source = user_cache.folder("things")
    assert source is not None
    for kind, name in (("things", "b.thing"), ("others", "a.thing")):
        target = source.parent / kind / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((source / "a.thing").read_bytes())
        assert user_cache.read(kind, name) is None
        assert f"{target}: damaged, or the file of another entry; made again" in caplog.text
    assert user_cache.read("things", "a.thing") == (HEADER, DATA)


def test_without_a_cache_folder_nothing_is_stored(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    cache.write_text("a file in place of the folder")
    for change in (lambda: None, lambda: monkeypatch.setattr(Path, "home", no_home)):
        change()
        assert user_cache.read("things", "a.thing") is None
        assert not user_cache.exists("things", "a.thing")
        with pytest.raises(DiskError, match="XDG_CACHE_HOME"):
            user_cache.write("things", "a.thing", HEADER, DATA)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
