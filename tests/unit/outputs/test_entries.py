"""Runs and caches found below an output folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from output_folders import DAY, make_outputs, make_run

from lmlab.outputs.entries import (
    Entry,
    find_caches,
    find_runs,
    select,
    size_text,
    table,
)
from lmlab.run_folder import RunFolder
from lmlab.study.named_runs import folders_with


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_outputs(tmp_path)


def test_runs_have_status_size_age_and_progress(root: Path) -> None:
    runs = {str(entry.path.relative_to(root)): entry for entry in find_runs(root)}
    assert sorted(runs) == ["s/a/seed0", "s/a/seed1", "s/b/seed0", "t/c/seed0"]
    done = runs["s/a/seed0"]
    assert (done.status, done.is_alive) == ("done", False)
    assert done.bytes == sum(p.stat().st_size for p in done.path.rglob("*") if p.is_file())
    assert done.age_seconds == pytest.approx(10 * DAY, abs=60)
    assert done.detail == "stopped early at step 5 of 10, validation loss 1.2500"
    assert runs["t/c/seed0"].status == "interrupted"


def test_an_arm_may_be_called_cache(root: Path) -> None:
    run = make_run(root, "s/cache/seed0", "done")
    (root / "cache" / "config.yaml").touch()  # no run
    for folder in (root, root / "s"):
        assert run in [entry.path for entry in find_runs(folder)]
    assert [path.name for path in folders_with(root, "config.yaml")].count("cache") == 0


def test_a_cache_is_alive_while_any_run_is(root: Path) -> None:
    (cache,) = find_caches(root)
    assert (cache.status, cache.detail, cache.bytes, cache.is_alive) == (
        "cache",
        "tokens",
        5000,
        False,
    )
    with RunFolder(root / "t/c/seed0").lock():
        (cache,) = find_caches(root)
        assert cache.is_alive


def test_entries_are_selected_by_status_and_age(root: Path) -> None:
    runs = find_runs(root)
    assert select(runs, [], 0) == runs
    assert [entry.status for entry in select(runs, ["done", "failed"], 0)] == ["done", "failed"]
    assert [entry.status for entry in select(runs, [], 2 * DAY)] == ["done", "diverged"]
    assert select(runs, ["failed"], DAY) == []


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3e9, "3.0 GB"),
     (4e12, "4.0 TB")],
)  # fmt: skip
def test_sizes_have_decimal_units(number: float, text: str) -> None:
    assert size_text(number) == text


def test_columns_of_the_table_are_aligned() -> None:
    entries = [
        Entry(Path("r/a"), "done", 1500, 30.0, "x", False),
        Entry(Path("r/long_name"), "interrupted", 0, 3 * DAY, "y", False),
    ]
    header, *rows = table(Path("r"), entries)
    start = header.index("PROGRESS")
    assert [row[start:] for row in rows] == ["x", "y"]
    assert " now " in rows[0] and " 3 d " in rows[1]
