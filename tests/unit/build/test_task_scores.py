from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from task_model import small_model

from lmlab.build.run_data import RunData
from lmlab.build.task_scores import build_task_scores
from lmlab.distributed.communicator import SINGLE_PROCESS
from lmlab.tasks.probes import NO_PROBES
from lmlab.tasks.requests import make_request
from lmlab.tasks.scorer import Scorer
from lmlab.tasks.task import TaskResult


@dataclasses.dataclass(frozen=True)
class OneRequest:
    name: str
    hash: str = "0"
    num_tokens: int = 1

    def evaluate(self, scorer: Scorer) -> TaskResult:
        (score,) = scorer.score([make_request(scorer.tokenizer, "the", " dog on")])
        found = {"margin": score.log_likelihood}
        return TaskResult(found | {"num_items": 1}, [{"id": "1"} | found])


def scores_of(precision: str) -> tuple[list[tuple[str, dict[str, float]]], list[Any]]:
    model, tokenizer = small_model()
    kept: list[Any] = []

    def keep(name: str, step: int, items: Sequence[Mapping[str, Any]]) -> None:
        kept.append((name, step, list(items)))

    data: Any = SimpleNamespace(
        tokenizer=tokenizer, tasks=(OneRequest("a"), OneRequest("b")), probes=NO_PROBES
    )
    device: Any = SimpleNamespace(policy=SimpleNamespace(precision=precision))
    score = build_task_scores(data, device, SINGLE_PROCESS, batch_size=4, keep_items=keep)
    return list(score(model, 20)), kept


def test_items_are_kept_with_their_step_before_the_scores_are_recorded() -> None:
    scores, kept = scores_of("fp32")
    assert [name for name, _ in scores] == ["a", "b"]
    assert kept == [(name, 20, [{"id": "1", "margin": found["margin"]}]) for name, found in scores]


def test_the_bf16_policy_computes_in_bfloat16_as_the_evaluator_does() -> None:
    (_, exact), _ = scores_of("fp32")[0]
    (_, rounded), _ = scores_of("bf16")[0]
    assert rounded["margin"] != exact["margin"]
    assert rounded["margin"] == pytest.approx(exact["margin"], rel=0.05)


def test_a_run_without_tasks_scores_nothing() -> None:
    fields = {field.name for field in dataclasses.fields(RunData)}
    assert "tasks" in fields
    data: Any = SimpleNamespace(tasks=(), probes=NO_PROBES)
    device: Any = SimpleNamespace(policy=SimpleNamespace(precision="fp32"))
    score = build_task_scores(
        data, device, SINGLE_PROCESS, batch_size=4, keep_items=lambda *item: None
    )
    assert list(score(torch.nn.Linear(1, 1), 0)) == []
