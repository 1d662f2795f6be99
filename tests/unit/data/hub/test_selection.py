"""Which files of a repository are meant, and what a wrong name may have meant."""

from __future__ import annotations

import fnmatch
import glob
from pathlib import Path

import pytest

from lmlab.data.hub.listing import HubFile
from lmlab.data.hub.selection import folder_of, matches, select
from lmlab.errors import DataError

PATHS = [
    "README.md", "data/test-00000.parquet", "data/train-00000.parquet", "data/train-00001.parquet",
    "data/train-00010.parquet", "data/train-00002.parquet", "data/validation-00000.parquet",
    "extra/en/part.jsonl.zst", "extra/part.jsonl.zst", "one.parquet", "extra/fr/b[1].txt",
]  # fmt: skip
FILES = [HubFile(path, 1, None) for path in PATHS]


@pytest.mark.parametrize(
    "pattern",
    ["*.parquet", "**/*.parquet", "data/*", "extra/**/*.zst", "**/part*", "data/train-0000[01].*",
     "data/train-0000?.parquet", "one.parquet", "**", "d*/t*", "extra/fr/b[[]1].txt",
     "data/[!t]*", "data/t[a-f]*"],
)  # fmt: skip
def test_patterns_mean_what_they_mean_for_files(pattern: str, tmp_path: Path) -> None:
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = glob.glob(pattern, root_dir=tmp_path, recursive=True)
    expected = {path for path in found if (tmp_path / path).is_file()}
    assert {path for path in PATHS if matches(pattern, path)} == expected
    assert expected or fnmatch.filter(PATHS, pattern) == []


@pytest.mark.parametrize(
    ("patterns", "folder"),
    [(["a/b/*.x"], "a/b"), (["a/b/c.x"], "a/b"), (["**/*.x"], ""), (["a/b/*", "a/c/*"], "a"),
     (["a/b*/x"], "a"), (["x"], "")],
)  # fmt: skip
def test_only_the_folder_that_is_needed_is_listed(patterns: list[str], folder: str) -> None:
    assert folder_of(patterns) == folder


def chosen(patterns: str, valid: str = "", shards: int | list[int] | None = None):
    found = select(FILES, [patterns], [valid] if valid else [], shards)
    return [file.path for file in found.train], [file.path for file in found.valid]


def test_splits_are_those_of_the_names_and_shards_in_natural_order() -> None:
    shards = [f"data/train-{n:05}.parquet" for n in (0, 1, 2, 10)]
    assert chosen("data/*") == (shards, ["data/validation-00000.parquet"])
    assert chosen("data/t*") == (shards, ["data/test-00000.parquet"])
    assert chosen("data/train-*", shards=3) == (shards[:3], [])
    assert chosen("data/train-*", shards=[3, 0]) == ([shards[3], shards[0]], [])
    assert chosen("data/*", "data/train-00002.*") == (
        ["data/test-00000.parquet", shards[0], shards[1], shards[3],
         "data/validation-00000.parquet"],
        [shards[2]],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("data/trian-*.parquet", r'did you mean "data/train-\*\.parquet"'),
     ("dat/t*.parquet", r"there are data/train-\*\.parquet \(4\), "),
     ("x.csv", r"data\.files=x\.csv: no such file; there are")],
)  # fmt: skip
def test_a_name_that_nothing_has_is_answered_with_names_that_there_are(
    pattern: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        chosen(pattern)
    with pytest.raises(DataError, match="holds no files of text"):
        select([HubFile("a.png", 1, None)], [pattern], [], None)
