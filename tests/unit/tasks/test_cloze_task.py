from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from task_model import small_model, token_by_token

from lmlab.config.task_settings import parse_tasks
from lmlab.tasks.evaluation import evaluate_tasks
from lmlab.tasks.requests import make_request
from lmlab.tasks.task_file import TaskFile

MODEL, TOKENIZER = small_model()


def most_likely_word(context: str) -> str:
    """One token that the model puts first, if it is text that can be asked for."""
    import torch

    ids = torch.tensor([TOKENIZER.encode(context)])
    return TOKENIZER.decode([int(MODEL(ids)[0, -1].argmax())])


def test_scores_equal_those_by_hand(tmp_path: Path) -> None:
    encode = TOKENIZER.encode
    greedy = next(
        {"context": context, "target": word}
        for context in ("the dog on", "once", "do it the", "one on the", "a b", "x the y")
        if (word := most_likely_word(context)).isascii() and word.strip()
        and encode(context + word) == [*encode(context), *encode(word)]
    )  # fmt: skip
    items = [greedy, {"context": "the dog", "target": " on the"}, {"context": "do", "target": "g"}]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(map(json.dumps, items)), "utf-8")
    (entry,) = parse_tasks([{"file": str(path), "delimiter": ""}])
    task = TaskFile(entry).load(TOKENIZER, MODEL.context_length)
    ((_, result),) = evaluate_tasks(MODEL, TOKENIZER, [task], batch_size=2)
    for item, row in zip(items, result.items, strict=True):
        request = make_request(TOKENIZER, item["context"], item["target"])
        likelihoods, is_greedy = token_by_token(
            MODEL, request.context.tolist(), request.continuation.tolist()
        )
        assert row["accuracy"] == int(is_greedy)
        assert row["log_likelihood"] == pytest.approx(sum(likelihoods), abs=5e-5)
    rows = result.items
    assert rows[0]["accuracy"] == 1, "the first item continues greedily"
    mean = sum(row["log_likelihood"] for row in rows) / 3
    assert result.scores["log_likelihood"] == pytest.approx(mean)
    assert result.scores["perplexity"] == pytest.approx(math.exp(-mean))
    assert result.scores["accuracy"] == pytest.approx(sum(row["accuracy"] for row in rows) / 3)
