"""Minimal pairs and multiple choice: is the right continuation the most likely one?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmlab.tasks.item_requests import requests_of
from lmlab.tasks.items import Item
from lmlab.tasks.requests import Request, num_tokens
from lmlab.tasks.task import TaskResult
from lmlab.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lmlab.tasks.scorer import Scorer


@dataclasses.dataclass(frozen=True)
class ChoiceTask:
    """Items with two or more choices, of which one is right.

    Attributes:
        name: of the task.
        hash: of its items.
        items: at least one.
        requests: of all choices of all items, in order.
    """

    name: str
    hash: str
    items: tuple[Item, ...]
    requests: tuple[Request, ...]

    @classmethod
    def load(
        cls, name: str, hash: str, path: Path, items: Sequence[Item], tokenizer: Tokenizer,
        context_length: int,
    ) -> ChoiceTask:  # fmt: skip
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
        """Accuracy of a guess."""
        return float(np.mean([1 / len(item.continuations) for item in self.items]))

    def evaluate(self, scorer: Scorer) -> TaskResult:
        """Score a model.

        - ``accuracy``: share of items whose right choice is the most likely one.
        - ``accuracy_norm``: the same for log-likelihoods per UTF-8 byte of the choice.
        - ``margin``: mean difference of log-likelihood, in nats, of the right choice from the most
          likely wrong one.
        - ``margin_per_byte``: the same for log-likelihoods per byte.

        Of equal likelihoods the first one counts as the largest, as in lm-evaluation-harness.
        """
        scores = scorer.score(self.requests)
        rows, start = [], 0
        for item in self.items:
            end = start + len(item.continuations)
            likelihoods = np.array([one.log_likelihood for one in scores[start:end]])
            rows.append({"id": item.id, **item_scores(likelihoods, item.num_bytes, item.answer)})
            start = end
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "id"}
        return TaskResult({**means, "num_items": len(rows)}, rows)


def item_scores(
    likelihoods: np.ndarray[Any, Any], num_bytes: Sequence[int], answer: int
) -> dict[str, float]:
    """Return the scores of one item by name; see :meth:`ChoiceTask.evaluate`.

    Args:
        likelihoods: log-likelihood of each choice in nats.
        num_bytes: UTF-8 bytes of each choice, at least 1.
        answer: index of the right one.
    """
    per_byte = likelihoods / np.array(num_bytes)
    return {
        "accuracy": int(likelihoods.argmax() == answer),
        "accuracy_norm": int(per_byte.argmax() == answer),
        "margin": _margin(likelihoods, answer),
        "margin_per_byte": _margin(per_byte, answer),
    }


def _margin(values: np.ndarray[Any, Any], answer: int) -> float:
    return float(values[answer] - np.delete(values, answer).max())
