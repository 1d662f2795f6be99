"""A result is made once for each state of its files; see also ``test_content_hash.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.storage import file_memo
from lmlab.storage.file_memo import remembered


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_memo, "is_settled", lambda state, now: True)


def joined(folder: Path, files: list[Path], calls: list[str]) -> str:
    def make() -> dict[str, Any]:
        calls.append("".join(path.read_text() for path in files))
        return {"text": calls[-1]}

    return str(remembered(folder / "memos" / "one.json", files, make)["text"])


def test_any_of_several_files_makes_it_again(tmp_path: Path) -> None:
    files, calls = [tmp_path / "a", tmp_path / "b"], list[str]()
    for path in files:
        path.write_text("x")
    assert [joined(tmp_path, files, calls) for _ in range(3)] == ["xx"] * 3
    files[1].write_text("longer")
    assert [joined(tmp_path, files, calls) for _ in range(2)] == ["xlonger"] * 2
    files[0].unlink()
    files[0].write_text("x")
    joined(tmp_path, files, calls)
    assert calls == ["xx", "xlonger", "xlonger"], "another inode is another state"
    assert joined(tmp_path, files[::-1], calls) == "longerx"


def test_a_file_that_changes_meanwhile_is_not_remembered(tmp_path: Path) -> None:
    path, calls = tmp_path / "a", list[str]()
    path.write_text("first")

    def make() -> dict[str, Any]:
        calls.append(path.read_text())
        path.write_text("second")
        return {}

    for _ in range(2):
        remembered(tmp_path / "memo.json", [path], make)
    assert calls == ["first", "second"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remembered(tmp_path / "memo.json", [tmp_path / "none"], dict)
