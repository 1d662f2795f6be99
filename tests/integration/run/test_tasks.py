"""``validation.tasks`` scores a run at each evaluation, and changes no bit of its training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from event_files import scalars
from stacks import members, runs, stack
from task_files import write_tasks

import lmlab
from lmlab.build.identity import is_same_run
from lmlab.config.compose import compose
from lmlab.config.task_settings import parse_tasks
from lmlab.errors import DataError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.tasks.evaluation import evaluate_tasks
from lmlab.tasks.item_records import read_items
from lmlab.tasks.task_file import TaskFile

TIMES = ("seconds", "tokens_per_second", "mfu")
NAMES = ["pairs", "last", "wiki"]


def numbers(run: RunFolder, *kinds: str) -> list[dict[str, Any]]:
    rows = [row for row in run.rows() if not kinds or row["kind"] in kinds]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def weights(run: RunFolder) -> bytes:
    return (run.checkpoints / "step_00000020" / "model.safetensors").read_bytes()


def items(run: RunFolder) -> dict[str, list[dict[str, Any]]]:
    return {name: read_items(run, name, 20) for name in NAMES}


def test_scores_are_recorded_at_each_evaluation_and_nothing_else_changes(
    overrides: list[str], tmp_path: Path
) -> None:
    tasks = write_tasks(tmp_path / "tasks")
    where = [f"output_root={tmp_path / 'without'}"]
    plain = execute(compose([*overrides, *where])).run
    scored = execute(compose([*overrides, tasks, "logger=tensorboard"])).run
    assert numbers(plain) == numbers(scored, "train", "validation")
    assert weights(plain) == weights(scored)
    rows = scored.rows("tasks")
    assert [(row["step"], row["name"]) for row in rows] == [
        (step, name) for step in (0, 10, 20) for name in NAMES
    ]
    # The last scores are those of the saved model, and the means of the items that are kept.
    loaded = lmlab.load(scored.path, checkpoint="last", device="cpu")
    sources = map(TaskFile, parse_tasks(compose([tasks]).validation.tasks))
    loadeds = [one.load(loaded.tokenizer, loaded.model.context_length) for one in sources]
    for (name, result), row in zip(evaluate_tasks(*loaded, loadeds), rows[-3:], strict=True):
        assert {key: row[key] for key in result.scores} == pytest.approx(dict(result.scores))
        assert [item["id"] for item in result.items] == [item["id"] for item in items(scored)[name]]
    mean = sum(item["margin"] for item in items(scored)["pairs"]) / 9
    assert rows[-3]["margin"] == pytest.approx(mean, rel=1e-6)
    found = scalars(scored.path / "tensorboard")
    points = [(row["step"], pytest.approx(row["accuracy"])) for row in rows[::3]]
    assert found["tasks/pairs/accuracy"] == points


def test_the_items_are_part_of_the_identity_and_their_paths_are_not(
    overrides: list[str], tmp_path: Path
) -> None:
    root = overrides[0]
    first = execute(compose([*overrides, write_tasks(tmp_path / "tasks")])).run
    # Without tasks it is another run, whose identity has no trace of them.
    plain = execute(compose(overrides)).run
    assert plain.path != first.path
    assert "tasks" not in plain.meta()["identity"]
    assert first.meta()["identity"] == plain.meta()["identity"] | {
        "tasks": first.meta()["identity"]["tasks"]
    }
    shutil.move(tmp_path / "tasks", tmp_path / "moved")
    again = execute(compose([*overrides, write_tasks(tmp_path / "moved")])).run
    assert again.path == first.path, root
    other = execute(compose([*overrides, write_tasks(tmp_path / "other", seed=1)])).run
    assert other.path not in (first.path, plain.path)
    assert not is_same_run(other.meta(), first.meta()["identity"])


def test_a_resumed_run_has_the_rows_and_items_of_an_uninterrupted_one(
    overrides: list[str], tmp_path: Path
) -> None:
    config = compose([*overrides, write_tasks(tmp_path / "tasks")])
    run = execute(config).run
    expected, kept = numbers(run), items(run)
    assert all(kept.values())
    # As a kill after the checkpoint of step 15 leaves it.
    shutil.rmtree(run.checkpoints / "step_00000020")
    shutil.rmtree(run.path / "tasks")
    run.write_status("interrupted")
    assert execute(config).run == run
    assert "resuming" in run.log.read_text("utf-8")
    assert numbers(run) == expected
    assert items(run) == kept


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"good": "a", "bad": "b"}\n{"good": "a"}', r"items\.jsonl: line 2: bad: missing"),
        ('{"good": "a", "bad": "' + "cab " * 20 + '"}', r"line 1: expected continuations of up to"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_the_run(
    overrides: list[str], tmp_path: Path, lines: str, message: str
) -> None:
    (tmp_path / "items.jsonl").write_text(lines, "utf-8")
    with pytest.raises(DataError, match=message):
        execute(compose([*overrides, f"validation.tasks=[{tmp_path / 'items.jsonl'}]"]))
    assert not (tmp_path / "outputs" / "runs").exists()


@pytest.mark.long
def test_stacked_runs_are_scored_as_separate_ones(overrides: list[str], tmp_path: Path) -> None:
    more = [*overrides, write_tasks(tmp_path / "tasks")]
    together, apart = tmp_path / "together", tmp_path / "apart"
    arms = {"a": ["seed=1"], "b": ["seed=2"]}
    stack(members(more, together, **arms))
    for own in members(more, apart, **arms):
        execute(compose(own))
    for arm, run in runs(together).items():
        expected = runs(apart)[arm].rows("tasks")
        assert len(expected) == 9
        for mine, yours in zip(run.rows("tasks"), expected, strict=True):
            assert (mine["step"], mine["name"]) == (yours["step"], yours["name"])
            name = "loss" if "loss" in yours else next(k for k in yours if k in MEASURES)
            assert mine[name] == pytest.approx(yours[name], rel=1e-3, abs=1e-4)
        assert [item["id"] for item in items(run)["pairs"]] == [str(n) for n in range(1, 10)]


MEASURES = ("margin", "log_likelihood")
