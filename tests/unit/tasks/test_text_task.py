from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from task_model import small_model, token_by_token

from lmlab.config.task_settings import parse_tasks
from lmlab.errors import DataError
from lmlab.tasks.evaluation import evaluate_tasks
from lmlab.tasks.task_file import TaskFile

MODEL, TOKENIZER = small_model(context_length=8)
TEXTS = ["the dog saw the cat on the mat, né?", "on", "do it once more, the end of the story"]


def nats_by_hand(text: str) -> tuple[float, int]:
    """Predict each token of a text after as many tokens as its window holds."""
    ids = [TOKENIZER.start_id, *TOKENIZER.encode(text)]
    total, size = 0.0, MODEL.context_length
    for place in range(1, len(ids)):
        block = (place - 1) // size  # tokens 1..T, T+1..2T, ...
        end = min((block + 1) * size, len(ids) - 1)
        start = 0 if block == 0 else end - size
        total -= token_by_token(MODEL, ids[start:place], [ids[place]])[0][0]
    return total, len(ids) - 1


def test_documents_are_measured_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), "utf-8")
    (entry,) = parse_tasks([{"file": str(path), "kind": "text"}])
    task = TaskFile(entry).load(TOKENIZER, MODEL.context_length)
    ((_, result),) = evaluate_tasks(MODEL, TOKENIZER, [task], batch_size=2)
    expected = [nats_by_hand(text) for text in TEXTS]
    num_bytes = [len(text.encode()) for text in TEXTS]
    assert [row["nats"] for row in result.items] == pytest.approx(
        [n for n, _ in expected], abs=1e-4
    )
    assert [row["num_tokens"] for row in result.items] == [count for _, count in expected]
    assert [row["num_bytes"] for row in result.items] == num_bytes
    nats, tokens = sum(n for n, _ in expected), sum(count for _, count in expected)
    assert result.scores == pytest.approx(
        {
            "loss": nats / tokens, "bits_per_byte": nats / math.log(2) / sum(num_bytes),
            "num_tokens": tokens, "num_bytes": sum(num_bytes), "num_items": 3,
        },
        rel=1e-5,
    )  # fmt: skip


def test_a_plain_text_is_measured_as_one_document_without_the_bytes_of_ends(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the end<|endoftext|>on", "utf-8")
    (entry,) = parse_tasks([{"text": str(path)}])
    task = TaskFile(entry).load(TOKENIZER, MODEL.context_length)
    ((name, result),) = evaluate_tasks(MODEL, TOKENIZER, [task])
    nats, tokens = nats_by_hand("the end<|endoftext|>on")
    assert name == "a"
    assert result.scores["num_bytes"] == len("the endon")
    assert result.scores["loss"] == pytest.approx(nats / tokens, rel=1e-5)


def test_a_text_of_ends_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("<|endoftext|>", "utf-8")
    (entry,) = parse_tasks([{"text": str(path)}])
    with pytest.raises(DataError, match=r"a\.txt: line 1: expected a text, found an end of text"):
        TaskFile(entry).load(TOKENIZER, MODEL.context_length)
