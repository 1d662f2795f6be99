"""Whatever has the attributes of a task is evaluated like those of files."""

from __future__ import annotations

import dataclasses

import pytest
from task_model import small_model, token_by_token

from lmlab.tasks.evaluation import evaluate_tasks
from lmlab.tasks.requests import make_request
from lmlab.tasks.scorer import Scorer
from lmlab.tasks.task import Task, TaskResult, TaskSource
from lmlab.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Probe:
    name: str = "probe"
    hash: str = "0"
    num_tokens: int = 1

    def evaluate(self, scorer: Scorer) -> TaskResult:
        assert not scorer.model.training
        (score,) = scorer.score([make_request(scorer.tokenizer, "the", " dog")])
        return TaskResult(
            {"margin": score.log_likelihood, "num_items": 1},
            [{"id": "1", "margin": score.log_likelihood}],
        )


class Source:
    name = "probe"

    def check(self) -> None: ...

    def load(self, tokenizer: Tokenizer, context_length: int) -> Task:
        return Probe()


def test_a_task_of_ones_own_gets_the_scorer() -> None:
    model, tokenizer = small_model()
    source: TaskSource = Source()
    model.train()
    try:
        task = source.load(tokenizer, model.context_length)
        ((name, result),) = evaluate_tasks(model, tokenizer, [task])
        assert model.training
    finally:
        model.eval()
    request = make_request(tokenizer, "the", " dog")
    expected, _ = token_by_token(model, request.context.tolist(), request.continuation.tolist())
    assert name == "probe"
    assert result.scores["margin"] == pytest.approx(sum(expected), abs=5e-5)
