from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.config.task_settings import TaskEntry, parse_tasks
from lmlab.errors import ConfigError

A, B = TaskEntry("a", Path("x/a.jsonl")), TaskEntry("b", Path("b.txt"), "text", True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ([], []),
        ("x/a.jsonl", [A]),
        (["x/a.jsonl", {"text": "b.txt"}], [A, B]),
        ({"a": "x/a.jsonl", "b": {"text": "b.txt"}}, [A, B]),
        ([{"name": "b", "text": "b.txt"}, {"file": "x/a.jsonl"}], [B, A]),
        (["my items (1).jsonl"], [TaskEntry("my-items-1", Path("my items (1).jsonl"))]),
        (
            {"c": {"file": "c.jsonl", "kind": "cloze", "delimiter": "", "max_items": 5}},
            [TaskEntry("c", Path("c.jsonl"), "cloze", False, "", 5)],
        ),
    ],
)
def test_tasks_are_given_by_files_or_by_names(value: Any, expected: list[TaskEntry]) -> None:
    assert list(parse_tasks(value)) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, r"t=7: expected a list of files, or names with their files"),
        ([7], r"t\[0\]=7: expected the path of a file"),
        ({"a": None}, r"t\.a=null: expected the path of a file"),
        ({"a": {}}, r"t\.a: expected the path of one file"),
        ({"a": {"file": "f", "text": "g"}}, r"t\.a: expected the path of one file"),
        ({"a": {"flie": "f"}}, r"t\.a\.flie: no such setting of a task"),
        ({"a": {"file": "f", "kind": "pair"}}, r"t\.a\.kind=pair: expected one of pairs, choice"),
        ({"a": {"file": "f", "max_items": 0}}, r"t\.a\.max_items=0: expected 1 or more"),
        ({"a": {"file": "f", "delimiter": 1}}, r"t\.a\.delimiter=1: expected a text"),
        ({"a": {"text": "f", "kind": "cloze"}}, r"t\.a\.kind: expected null for a plain text"),
        ({"a b": "f"}, r"t\.a b: expected a name of letters, digits and . _ -, found 'a b'"),
        ({"a": {"name": "b", "file": "f"}}, r"t\.a\.name: the task is named a already"),
        (["x/a.jsonl", "y/a.jsonl"], r"found a for x/a\.jsonl and for y/a\.jsonl"),
    ],
)
def test_other_values_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_tasks(value, "t")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["validation.tasks=[x/a.jsonl]"], [A]),
        (["validation.tasks=x/a.jsonl"], [A]),
        (["validation.tasks={a: x/a.jsonl, b: {text: b.txt}}"], [A, B]),
        (["validation.tasks.a=x/a.jsonl", "validation.tasks.b.text=b.txt"], [A, B]),
    ],
)
def test_overrides_take_all_forms(overrides: list[str], expected: list[TaskEntry]) -> None:
    assert list(parse_tasks(compose(overrides).validation.tasks)) == expected


def test_a_wrong_form_is_refused_before_anything_else() -> None:
    with pytest.raises(ConfigError, match=r"validation\.tasks\.a\.kind=pair: expected one of"):
        compose(["validation.tasks.a.kind=pair", "validation.tasks.a.file=f"])


def test_a_file_that_lmlab_ships_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (entry,) = parse_tasks(compose(["experiment=task_verdicts"]).validation.tasks)
    assert entry.path.is_file()
    own = tmp_path / "conf" / "experiment" / "story_order.jsonl"
    own.parent.mkdir(parents=True)
    own.touch()
    (entry,) = parse_tasks(compose(["experiment=task_verdicts"]).validation.tasks)
    assert entry.path.resolve() == own
