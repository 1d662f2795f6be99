"""Ranks share the items of tasks, and record what one process would."""

from __future__ import annotations

from pathlib import Path

import pytest
from launching import Launcher
from task_files import write_tasks

from lmlab.run_folder import RunFolder
from lmlab.tasks.item_records import read_items

pytestmark = pytest.mark.long


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_ranks_record_the_scores_of_one_process(
    settings: list[str], launch: Launcher, tmp_path: Path, parallel: str
) -> None:
    tasks = write_tasks(tmp_path / "tasks")
    found: dict[int, RunFolder] = {}
    for size in (1, 2):
        where = [f"output_root={tmp_path / str(size)}", "training.steps=4", tasks]
        mode = [f"runtime.parallel={parallel}"] if size > 1 else []
        trained = launch([*settings, *where, *mode], size)
        assert trained.codes == [0] * size, trained.printed
        found[size] = trained.run
    alone, together = (found[size].rows("tasks") for size in (1, 2))
    assert [(row["step"], row["name"]) for row in together] == [
        (step, name) for step in (0, 4) for name in ("pairs", "last", "wiki")
    ]
    for one, two in zip(alone, together, strict=True):
        for key in one.keys() - {"kind", "name", "seconds"}:
            # The initial weights are the same; later ones differ in the last bits of gradients.
            expected = one[key] if one["step"] == 0 else pytest.approx(one[key], rel=1e-3, abs=1e-3)
            assert two[key] == expected, (key, one["step"])
    for name in ("pairs", "last", "wiki"):
        rows = [read_items(found[size], name, 4) for size in (1, 2)]
        assert rows[0] and [row["id"] for row in rows[0]] == [row["id"] for row in rows[1]]
