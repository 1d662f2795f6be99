"""Files of a text: paths, patterns, folders, and folders that datasets writes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from record_files import DOCUMENTS, json_lines

from lmlab.errors import DataError
from lmlab.records.paths import find_files

KEY = "data.train"


def write(folder: Path, *names: str, content: bytes = b"some text") -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return paths


def test_patterns_and_folders_are_in_natural_order(tmp_path: Path) -> None:
    paths = write(tmp_path, "part2.txt", "part10.txt", "sub/part1.txt")
    write(tmp_path, ".hidden", "sub/.git/config")
    assert find_files(KEY, str(tmp_path / "part*.txt")) == paths[:2]
    assert find_files(KEY, str(tmp_path)) == paths
    assert find_files(KEY, [str(paths[1]), str(tmp_path / "sub")]) == [paths[1], paths[2]]


def test_a_name_with_brackets_is_a_file_if_there_is_one(tmp_path: Path) -> None:
    (path,) = write(tmp_path, "a[1].txt")
    write(tmp_path, "a1.txt")
    assert find_files(KEY, str(path)) == [path]


def test_records_in_a_folder_are_preferred_to_text_beside_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "README.md", "LICENSE")
    rows = write(tmp_path, "data/0.json", "data/1.json", content=json_lines(DOCUMENTS))
    with caplog.at_level(logging.INFO):
        assert find_files(KEY, str(tmp_path)) == rows
    assert "reading 2 json lines files; left out: LICENSE, README.md" in caplog.text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("none.txt", "no such file"),
        ("none*.txt", "no file matches this pattern"),
        ("hollow", "the folder is empty"),
        ("two", "expected files of one format, found json lines and parquet"),
        ("splits", r"expected one split, found train, validation\nhelp: .*\*train\*"),
    ],
)
def test_what_cannot_be_chosen_is_refused(value: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    write(tmp_path, "two/a", content=json_lines(DOCUMENTS))
    write(tmp_path, "two/b", content=b"PAR1")
    write(tmp_path, "splits/train-0.txt", "splits/validation-0.txt")
    with pytest.raises(DataError, match=said):
        find_files(KEY, str(tmp_path / value), split="train")


def test_folders_of_datasets_are_read_in_their_order(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from lmlab.records.text import Text

    rows = datasets.Dataset.from_dict({"text": [f"text {n}" for n in range(50)]})
    shuffled = rows.shuffle(seed=1).select(range(40)).filter(lambda row: row["text"][-1] != "3")
    both = datasets.DatasetDict({"train": shuffled, "validation": rows.select([1])})
    shuffled.save_to_disk(tmp_path / "one", num_shards=3)
    both.save_to_disk(tmp_path / "both")

    def texts(folder: str, split: str) -> list[str]:
        text = Text.of(find_files(KEY, str(tmp_path / folder), split=split))
        found = [one for file in text.files for one in text.read_documents(file, b"|")]
        return [bytes(one).decode() for rows in found for one in rows.read().pieces(b"|")]

    assert texts("one", "train") == shuffled["text"][:]
    assert texts("both", "train") == shuffled["text"][:]
    assert texts("both", "valid") == ["text 1"]
    assert texts("both/validation", "train") == ["text 1"]


def test_a_folder_of_datasets_without_the_split_or_a_file_is_refused(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")

    rows = datasets.Dataset.from_dict({"text": ["a", "b"]})
    datasets.DatasetDict({"all": rows}).save_to_disk(tmp_path / "both")
    with pytest.raises(DataError, match=r"expected a split train, found all\n.*both/all"):
        find_files(KEY, str(tmp_path / "both"), split="train")
    next((tmp_path / "both" / "all").glob("*.arrow")).unlink()
    with pytest.raises(DataError, match=r"found no data-00000-of-00001\.arrow"):
        find_files(KEY, str(tmp_path / "both" / "all"))
