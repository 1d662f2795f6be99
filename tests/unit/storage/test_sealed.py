"""A sealed file is read only as it was written, under its own name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lmlab.storage.sealed import get_or_create, read_sealed, write_sealed

CONTENT = {"a": [1, 2.5, "é"], "b": {"c": None}, "d": float("nan")}


def test_content_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "k" / "x.json"
    write_sealed(path, CONTENT)
    found = read_sealed(path)
    assert found.pop("d") != 0
    assert found == {key: value for key, value in CONTENT.items() if key != "d"}
    write_sealed(path, {"steps": {10: 1, 2: 1}})  # sorted otherwise as texts
    assert read_sealed(path) == {"steps": {"10": 1, "2": 1}}


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_sealed(path, CONTENT)
    intact = path.read_bytes()
    parsed = json.loads(intact)
    for index in range(len(intact)):
        damaged = intact[:index] + bytes([intact[index] ^ 1]) + intact[index + 1 :]
        for content in (intact[:index], damaged):
            path.write_bytes(content)
            try:
                same = json.loads(content) == parsed
            except ValueError:
                same = False
            if not same:  # not only other white space
                with pytest.raises(ValueError):
                    read_sealed(path)
    for text in ("[" * 100_000, "null", "{}", json.dumps(CONTENT | {"d": 0})):
        path.write_text(text)
        with pytest.raises(ValueError):
            read_sealed(path)


def test_the_file_of_another_name_or_place_is_noticed(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_sealed(tmp_path / folder / "x.json", {"folder": folder})
    shutil.copy(tmp_path / "a" / "x.json", tmp_path / "b" / "x.json")
    shutil.copy(tmp_path / "a" / "x.json", tmp_path / "a" / "y.json")
    for name in ("b/x.json", "a/y.json"):
        with pytest.raises(ValueError, match="another entry"):
            read_sealed(tmp_path / name)
    write_sealed(tmp_path / "free.json", {"a": 1}, "kind")
    shutil.move(tmp_path / "free.json", tmp_path / "moved.json")
    assert read_sealed(tmp_path / "moved.json", "kind") == {"a": 1}
    with pytest.raises(ValueError):
        read_sealed(tmp_path / "moved.json", "other kind")


KEYS = frozenset({"a"})


def test_a_stored_object_is_not_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "new" / "choice.json"
    assert get_or_create(path, lambda: {"a": 1}, KEYS) == {"a": 1}
    assert get_or_create(path, lambda: {"a": 2}, KEYS) == {"a": 1}
    for damage in ("{", "", "null", path.read_text().replace("1", "2", 1)):
        caplog.clear()
        path.write_text(damage)
        assert get_or_create(path, lambda: {"a": 3}, KEYS) == {"a": 3} == read_sealed(path)
        assert len(caplog.records) == 1 and str(path) in caplog.text
    assert [one.name for one in path.parent.iterdir()] == ["choice.json"]
    path.write_text('{"a": 5}')
    assert get_or_create(path, lambda: {"a": 6}, KEYS) == {"a": 5}, "of an earlier version"


def test_of_two_processes_that_store_an_object_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "choice.json"

    def make_while_another_process_stores() -> dict[str, int]:
        write_sealed(path, {"a": 1})
        return {"a": 2}

    assert get_or_create(path, make_while_another_process_stores, KEYS) == {"a": 1}


def test_without_a_writable_folder_the_object_is_not_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "choice.json"
    assert get_or_create(path, lambda: {"a": 1}, KEYS) == {"a": 1}
    assert "cannot be stored" in caplog.text
