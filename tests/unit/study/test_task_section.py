"""The report's table and curves of tasks, from the records of runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lmlab.design.job import Job
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.task_section import MOST_DRAWN, NOTE, build_tasks, curves_of


def rows(name: str, **scores: list[float]) -> list[dict[str, Any]]:
    return [
        {"kind": "tasks", "name": name, "step": 10 * at, "tokens": 640 * at, "seconds": 1.0 * at,
         "num_items": 9, **{key: values[at] for key, values in scores.items()}}
        for at in range(len(next(iter(scores.values()))))
    ]  # fmt: skip


def a_run(
    arm: str, seed: int, tasks: list[dict[str, Any]], purpose: str = "run", items: str = "h"
) -> RunRecord:
    meta = {"identity": {"tasks": {"order": items}}}
    return RunRecord(
        Job(arm, None, seed), (purpose,), arm, {"status": "done"}, meta, [], [], "", tasks=tasks
    )


def a_study(*records: RunRecord) -> Study:
    return Study("s", Path("s"), None, {}, list(records))


PAIRS = rows("order", accuracy=[0.5, 0.8], accuracy_norm=[0.4, 0.6], margin=[-1.0, 2.0])
TEXT = rows("wiki", loss=[5.0, 3.0], bits_per_byte=[2.0, 1.25])


def test_the_table_has_the_means_of_the_last_scores_by_task_and_arm() -> None:
    other = rows("order", accuracy=[0.5, 0.6], accuracy_norm=[0.4, 0.6], margin=[-1.0, math.nan])
    found = build_tasks(
        a_study(a_run("a", 0, PAIRS + TEXT), a_run("a", 1, other), a_run("b", 0, other))
    )
    assert found is not None
    assert found["columns"] == [
        "task", "arm", "accuracy", "accuracy norm", "margin", "loss", "bits per byte",
    ]  # fmt: skip
    assert found["rows"] == [
        ["order", "a", "0.7 ± 0.14", "0.6 ± 0", "2", "", ""],
        ["order", "b", "0.6", "0.6", "", "", ""],
        ["wiki", "a", "", "", "", "3", "1.25"],
    ]
    assert found["notes"] == [NOTE]


def test_curves_have_an_accuracy_or_bits_and_a_continuous_score() -> None:
    cloze = rows("last", accuracy=[0.1], log_likelihood=[-4.0], perplexity=[54.6])
    assert curves_of(PAIRS + TEXT + cloze) == {
        "order": {"tokens": [0, 640], "accuracy": [0.5, 0.8], "margin": [-1.0, 2.0]},
        "wiki": {"tokens": [0, 640], "bits_per_byte": [2.0, 1.25]},
        "last": {"tokens": [0], "accuracy": [0.1], "log_likelihood": [-4.0]},
    }
    damaged = [PAIRS[0], {key: value for key, value in PAIRS[1].items() if key != "margin"}]
    assert curves_of(damaged)["order"]["tokens"] == [0]


def test_searches_and_runs_with_other_items_are_left_out() -> None:
    found = build_tasks(
        a_study(
            a_run("a", 0, PAIRS), a_run("a", 1, PAIRS, items="other"),
            a_run("b", 0, PAIRS, purpose="search"),
        )
    )  # fmt: skip
    assert found is not None
    assert [(curve["arm"], curve["seed"]) for curve in found["curves"]] == [("a", 0)]
    assert found["notes"][1] == "1 of 2 runs have other items, and are not shown."
    assert build_tasks(a_study(a_run("b", 0, PAIRS, purpose="search"))) is None
    assert build_tasks(a_study(a_run("a", 0, []))) is None


def test_a_note_says_how_many_tasks_are_drawn() -> None:
    many = [row for number in range(MOST_DRAWN + 3) for row in rows(f"t{number}", accuracy=[0.5])]
    found = build_tasks(a_study(a_run("a", 0, many)))
    assert found is not None
    assert found["notes"][1] == "The figure shows the first 12 of 15 tasks."
