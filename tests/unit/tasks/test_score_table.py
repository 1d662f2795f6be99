from __future__ import annotations

import math

import pytest

from lmlab.tasks.score_table import score_table, standard_error
from lmlab.tasks.task import TaskResult

PAIRS = TaskResult(
    {"accuracy": 0.75, "margin": 1.25, "num_items": 4},
    [{"id": str(n), "accuracy": int(n > 0), "margin": float(n) - 0.25} for n in range(4)],
)
TEXT = TaskResult(
    {"loss": 2.5, "bits_per_byte": 1.0, "num_tokens": 12000, "num_bytes": 9, "num_items": 1},
    [{"id": "1", "nats": 2.5}],
)


def test_the_standard_error_of_an_accuracy_is_that_of_a_proportion() -> None:
    # The unbiased variance of 0/1 values is p (1 - p) n / (n - 1).
    assert standard_error(PAIRS, "accuracy") == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    assert standard_error(PAIRS, "margin") == pytest.approx(math.sqrt(5 / 3) / 2)
    assert standard_error(PAIRS, "perplexity") is None
    assert standard_error(TEXT, "nats") is None, "one item has no spread"


def test_each_task_has_a_row_and_each_score_a_column() -> None:
    header, pairs, text = score_table([("order", PAIRS), ("a", TEXT)])
    assert header.split() == ["task", "items", "accuracy", "margin", "loss", "bits", "per", "byte"]
    assert pairs.split() == [
        "order",
        "4",
        "0.7500",
        "±",
        "0.2500",
        "1.2500",
        "±",
        "0.6455",
        "-",
        "-",
    ]
    assert text.split() == ["a", "1", "-", "-", "2.5000", "1.0000"]
    assert len({len(line) for line in (header, pairs, text)}) == 1
