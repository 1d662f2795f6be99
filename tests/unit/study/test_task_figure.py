"""A panel per task and score, with the mean over seeds and each seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.run_folder import RunFolder
from lmlab.study.task_figure import draw_run_tasks, draw_tasks


def content(**changes: Any) -> dict[str, Any]:
    def curve(arm: str, seed: int, accuracy: list[float]) -> dict[str, Any]:
        tokens = [0, 64, 128][: len(accuracy)]
        tasks = {
            "order": {"tokens": tokens, "accuracy": accuracy, "margin": [2 * x for x in accuracy]}
        }
        return {"arm": arm, "seed": seed, "status": "done", "tasks": tasks}

    curves = [curve("a", 0, [0.2, 0.6, 1.0]), curve("a", 1, [0.4, 0.8]), curve("b", 0, [0.2, 0.3])]
    curves[2]["tasks"]["wiki"] = {"tokens": [0, 64], "bits_per_byte": [3.0, 2.0]}
    arms = [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    return {"title": "s", "ladder": None, "arms": arms, "tasks": {"curves": curves}} | changes


def lines_of(axes: Any) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for line in axes.get_lines():
        found.setdefault(str(line.get_label()), []).append(list(map(float, line.get_ydata())))
    return found


def test_each_panel_has_the_means_and_the_seeds() -> None:
    figure = draw_tasks(content())
    assert figure is not None
    accuracy, margin, wiki = (axes for axes in figure.axes if axes.get_visible())
    assert [axes.get_title(loc="left") for axes in (accuracy, margin, wiki)] == [
        "order", "order", "wiki",
    ]  # fmt: skip
    assert [axes.get_ylabel() for axes in (accuracy, margin, wiki)] == [
        "accuracy", "margin", "bits per byte",
    ]  # fmt: skip
    lines = lines_of(accuracy)
    assert lines["a"][0] == pytest.approx([0.3, 0.7])  # where both were evaluated
    assert lines["_seed"] == [[0.2, 0.6, 1.0], [0.4, 0.8]]
    assert lines["b"] == [[0.2, 0.3]] and "c" not in lines
    assert lines_of(margin)["a"][0] == pytest.approx([0.6, 1.4])
    assert set(lines_of(wiki)) == {"b"}


def test_without_tasks_and_on_a_ladder_there_is_no_figure() -> None:
    assert draw_tasks(content(tasks=None)) is None
    assert draw_tasks(content(ladder={})) is None


def test_a_run_is_drawn_into_its_folder_with_the_same_bytes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "s" / "a" / "seed0")
    run.path.mkdir(parents=True)
    assert draw_run_tasks(run.path) == []  # not evaluated yet
    for step in (0, 10):
        row = {"kind": "tasks", "name": "order", "step": step, "tokens": 64 * step, "seconds": 1.0}
        run.append_row(row | {"accuracy": 0.5 + step / 100, "margin": 0.1 * step, "num_items": 4})
    paths = draw_run_tasks(run.path)
    assert [path.name for path in paths] == ["tasks.png", "tasks.svg", "tasks.pdf"]
    first = [path.read_bytes() for path in paths]
    draw_run_tasks(run.path)
    assert [path.read_bytes() for path in paths] == first
