from __future__ import annotations

import math
from pathlib import Path

import pytest

from lmlab.run_folder import RunFolder
from lmlab.tasks.item_records import items_file, read_items, write_items

ITEMS = [{"id": "a é", "accuracy": 1, "margin": 1 / 3}, {"id": "b", "margin": math.nan}]


def test_items_are_read_back_with_eight_digits(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_items(run, "pairs", 20, ITEMS)
    rows = read_items(run, "pairs")
    assert rows[0] == {"step": 20, "id": "a é", "accuracy": 1, "margin": 0.33333333}
    assert math.isnan(rows[1]["margin"])
    text = items_file(run, "pairs").read_text("utf-8")
    assert text.splitlines()[0] == '{"step":20,"id":"a é","accuracy":1,"margin":0.33333333}'


def test_a_later_evaluation_replaces_an_earlier_one(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_items(run, "pairs", 20, ITEMS)
    write_items(run, "pairs", 40, ITEMS[:1])
    assert [row["step"] for row in read_items(run, "pairs")] == [40]
    assert len(read_items(run, "pairs", 40)) == 1
    assert read_items(run, "pairs", 20) == [], "items of another step are missing"
    assert read_items(run, "other") == []


@pytest.mark.parametrize("damage", ['{"step":40,"id":"c"}\n', '{"step":20', '{"step":20}\n'])
def test_damaged_items_count_as_missing(tmp_path: Path, damage: str) -> None:
    run = RunFolder(tmp_path)
    write_items(run, "pairs", 20, ITEMS)
    with items_file(run, "pairs").open("a", encoding="utf-8") as file:
        file.write(damage)
    assert read_items(run, "pairs") == []
