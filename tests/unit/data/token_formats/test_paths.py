"""Token files of folders and patterns."""

from __future__ import annotations

from pathlib import Path

import pytest
from token_forms import FILES

from lmlab.data.token_formats.paths import find_token_files
from lmlab.errors import DataError


def names(folder: Path, *files: str) -> list[str]:
    for name in files:
        (folder / name).write_bytes(b"1234")
    return [path.name for path in find_token_files("data.train", str(folder), "train")]


def test_a_folder_is_read_in_natural_order_without_what_stands_beside(tmp_path: Path) -> None:
    files = ("a_10.bin", "a_2.bin", "a_2.json", "meta.pkl", "b.ds", "b.ds.index", "b.ds.metadata")
    assert names(tmp_path, *files) == ["a_2.bin", "a_10.bin", "b.ds"]
    pattern = find_token_files("data.train", str(tmp_path / "*"), "train")
    assert [path.name for path in pattern] == ["a_2.bin", "a_10.bin", "b.ds"]


def test_the_common_name_of_a_pair_is_found(tmp_path: Path) -> None:
    path = FILES / "mine_text_document"
    assert find_token_files("data.train", str(path), "train") == [path]


def test_a_folder_of_several_splits_is_refused_with_a_pattern(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        names(tmp_path, "mine_train_000001.bin", "mine_val_000000.bin")
    assert refused.value.help == f"choose its files with a pattern: data.train='{tmp_path}/*train*'"
    with pytest.raises(DataError) as refused:
        find_token_files("data.valid", str(tmp_path), "valid")
    assert "*val*" in str(refused.value.help)


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no token files"):
        names(tmp_path)
    with pytest.raises(DataError, match="expected a token file"):
        find_token_files("data.train", [], "train")
    with pytest.raises(DataError, match="no such file"):
        find_token_files("data.train", str(tmp_path / "none.bin"), "train")
