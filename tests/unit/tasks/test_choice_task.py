from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_model import small_model, token_by_token

from lmlab.config.task_settings import parse_tasks
from lmlab.tasks.choice_task import item_scores
from lmlab.tasks.evaluation import evaluate_tasks
from lmlab.tasks.requests import make_request
from lmlab.tasks.task import TaskResult
from lmlab.tasks.task_file import TaskFile

MODEL, TOKENIZER = small_model()
ITEMS = [
    {"context": "the dog", "choices": ["on the one", "once", "do"], "answer": 1},
    {"context": "the ", "choices": ["do", "cedo on the donce"], "answer": 0},
    {"context": "", "choices": ["one", "two", "thre", "fo ur"], "answer": 3},
    {"context": "on " * 20, "choices": ["the", "once"], "answer": 1},
]


def evaluate(tmp_path: Path, items: list[Any], batch_size: int = 3, **settings: Any) -> TaskResult:
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, items)), "utf-8")
    (entry,) = parse_tasks([{"file": str(path), **settings}])
    task = TaskFile(entry).load(TOKENIZER, MODEL.context_length)
    ((name, result),) = evaluate_tasks(MODEL, TOKENIZER, [task], batch_size=batch_size)
    assert name == "items"
    return result


def likelihoods_by_hand(item: dict[str, Any], delimiter: str = " ") -> list[float]:
    found = []
    for choice in item["choices"]:
        request = make_request(TOKENIZER, item["context"], delimiter + choice)
        window = request.window(MODEL.context_length).tolist()
        size = len(request.continuation)
        found.append(sum(token_by_token(MODEL, window[:-size], window[-size:])[0]))
    return found


@pytest.mark.parametrize("delimiter", [" ", ""])
def test_scores_equal_those_by_hand(tmp_path: Path, delimiter: str) -> None:
    result = evaluate(tmp_path, ITEMS, delimiter=delimiter)
    right, right_norm, margins, margins_per_byte = [], [], [], []
    for item in ITEMS:
        likelihoods = likelihoods_by_hand(item, delimiter)
        answer, choices = item["answer"], item["choices"]
        norm = [one / len(text) for one, text in zip(likelihoods, choices, strict=True)]
        right.append(likelihoods[answer] == max(likelihoods))
        right_norm.append(norm[answer] == max(norm))
        others = [index for index in range(len(choices)) if index != answer]
        margins.append(likelihoods[answer] - max(likelihoods[index] for index in others))
        margins_per_byte.append(norm[answer] - max(norm[index] for index in others))
    assert [row["id"] for row in result.items] == ["1", "2", "3", "4"]
    assert [row["accuracy"] for row in result.items] == right
    assert [row["accuracy_norm"] for row in result.items] == right_norm
    assert [row["margin"] for row in result.items] == pytest.approx(margins, abs=1e-4)
    assert [row["margin_per_byte"] for row in result.items] == pytest.approx(
        margins_per_byte, abs=1e-4
    )
    assert result.scores["num_items"] == 4
    for name in ("accuracy", "accuracy_norm", "margin", "margin_per_byte"):
        mean = np.mean([row[name] for row in result.items])
        assert result.scores[name] == pytest.approx(mean), "a score is the mean of its items"


def test_scores_do_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    alone, together = (evaluate(tmp_path, ITEMS, batch_size) for batch_size in (1, 64))
    assert dict(alone.scores) == pytest.approx(dict(together.scores), abs=1e-5)


def test_a_pair_is_a_choice_whose_first_is_right(tmp_path: Path) -> None:
    pairs = [{"good": "the dog", "bad": "dog the"}, {"good": "o n", "bad": "on"}]
    choices = [{"choices": [one["good"], one["bad"]], "answer": 0} for one in pairs]
    assert evaluate(tmp_path, pairs) == evaluate(tmp_path, choices)


def test_accuracies_differ_where_the_choices_have_different_lengths() -> None:
    scores = item_scores(np.array([-10.0, -6.0, -30.0]), [10, 3, 5], 0)
    assert scores == {
        "accuracy": 0, "accuracy_norm": 1,
        "margin": pytest.approx(-4.0), "margin_per_byte": pytest.approx(1.0),
    }  # fmt: skip


def test_of_equal_likelihoods_the_first_counts() -> None:
    values = np.array([-2.0, -1.0, -1.0])
    assert [item_scores(values, [1, 1, 1], one)["accuracy"] for one in range(3)] == [0, 1, 0]
    assert item_scores(values, [1, 1, 1], 2)["margin"] == 0.0


def test_the_training_mode_is_restored(tmp_path: Path) -> None:
    model, _ = small_model(seed=1)
    model.train()
    model.blocks[0].eval()
    modes = [part.training for part in model.modules()]
    (entry,) = parse_tasks([str(tmp_path / "items.jsonl")])
    evaluate(tmp_path, ITEMS)
    task = TaskFile(entry).load(TOKENIZER, MODEL.context_length)
    list(evaluate_tasks(model, TOKENIZER, [task]))
    assert [part.training for part in model.modules()] == modes
