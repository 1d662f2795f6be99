"""Cloze: does the model continue a context with the right words?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmlab.tasks.item_requests import requests_of
from lmlab.tasks.items import Item
from lmlab.tasks.requests import Request, num_tokens
from lmlab.tasks.task import TaskResult
from lmlab.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lmlab.tasks.scorer import Scorer


@dataclasses.dataclass(frozen=True)
class ClozeTask:
    """Items with one continuation: Paperno et al. 2016 (LAMBADA), section 5.

    Attributes:
        name: of the task.
        hash: of its items.
        items: at least one.
        requests: one per item.
    """

    name: str
    hash: str
    items: tuple[Item, ...]
    requests: tuple[Request, ...]

    @classmethod
    def load(
        cls, name: str, hash: str, path: Path, items: Sequence[Item], tokenizer: Tokenizer,
        context_length: int,
    ) -> ClozeTask:  # fmt: skip
        """Encode the items. Raises :class:`DataError` for one that does not fit the context."""
        requests = requests_of(items, path, tokenizer, context_length)
        return cls(name, hash, tuple(items), requests)

    @property
    def num_tokens(self) -> int:
        """Tokens that an evaluation passes through the model."""
        return num_tokens(self.requests)

    @property
    def num_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def chance(self) -> float:
        """Accuracy of a guess, which hardly ever finds the answer among all texts."""
        return 0.0

    def evaluate(self, scorer: Scorer) -> TaskResult:
        """Score a model.

        - ``accuracy``: share of items of which each token is the most likely one.
        - ``log_likelihood``: mean log-likelihood of the continuation, in nats.
        - ``perplexity``: exp of its negative, per item and not per token.
        """
        rows = [
            {
                "id": item.id,
                "accuracy": int(score.is_greedy),
                "log_likelihood": score.log_likelihood,
            }
            for item, score in zip(self.items, scorer.score(self.requests), strict=True)
        ]
        mean = float(np.mean([row["log_likelihood"] for row in rows]))
        scores = {
            "accuracy": float(np.mean([row["accuracy"] for row in rows])),
            "log_likelihood": mean,
            "perplexity": math.exp(-mean) if mean > -700 else math.inf,
            "num_items": len(rows),
        }
        return TaskResult(scores, rows)
