"""Texts: how well does the model predict all of their tokens?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmlab.data.text_bytes import text_bytes
from lmlab.errors import DataError
from lmlab.tasks.items import Document
from lmlab.tasks.requests import Request, num_tokens, rolling_requests
from lmlab.tasks.task import TaskResult
from lmlab.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lmlab.tasks.scorer import Scorer


@dataclasses.dataclass(frozen=True)
class TextTask:
    """Texts, each measured from its first token on.

    Attributes:
        name: of the task.
        hash: of its texts.
        ids: of each text.
        requests: of all texts, in order: windows that predict each token once.
        num_requests: windows of each text.
        num_bytes: UTF-8 bytes of each text; ``<|endoftext|>`` has none.
    """

    name: str
    hash: str
    ids: tuple[str, ...]
    requests: tuple[Request, ...]
    num_requests: tuple[int, ...]
    num_bytes: tuple[int, ...]

    @classmethod
    def load(
        cls, name: str, hash: str, path: Path, items: Sequence[Document], tokenizer: Tokenizer,
        context_length: int,
    ) -> TextTask:  # fmt: skip
        """Encode the texts. Raises :class:`DataError` for one without bytes."""
        requests, num_requests, num_bytes = [], [], []
        for item in items:
            ids = np.asarray(tokenizer.encode_array(item.text), dtype=np.int64)
            windows = list(rolling_requests(tokenizer, ids, context_length))
            requests += windows
            num_requests.append(len(windows))
            num_bytes.append(text_bytes(tokenizer, ids))
            if not num_bytes[-1]:
                raise DataError(f"{path}: line {item.line}: expected a text, found an end of text")
        ids_of_items = tuple(item.id for item in items)
        return cls(name, hash, ids_of_items, tuple(requests), tuple(num_requests), tuple(num_bytes))

    @property
    def num_tokens(self) -> int:
        """Tokens that an evaluation passes through the model."""
        return num_tokens(self.requests)

    def evaluate(self, scorer: Scorer) -> TaskResult:
        """Score a model.

        - ``loss``: negative log-likelihood in nats per token, over all texts.
        - ``bits_per_byte``: all bits divided by all bytes.
        - ``num_tokens``, ``num_bytes``: of all texts.

        Items have ``nats``, ``num_tokens`` and ``num_bytes``.
        """
        scores = scorer.score(self.requests)
        rows, start = [], 0
        for id, count, num_bytes in zip(self.ids, self.num_requests, self.num_bytes, strict=True):
            parts = scores[start : start + count]
            rows.append(
                {
                    "id": id,
                    "nats": -sum(part.log_likelihood for part in parts),
                    "num_tokens": sum(len(part.token_log_likelihoods) for part in parts),
                    "num_bytes": num_bytes,
                }
            )
            start += count
        nats, num_targets, num_bytes = (
            sum(row[key] for row in rows)  # type: ignore[misc]
            for key in ("nats", "num_tokens", "num_bytes")
        )
        totals = {
            "loss": nats / num_targets,
            "bits_per_byte": nats / math.log(2) / num_bytes,
            "num_tokens": num_targets,
            "num_bytes": num_bytes,
            "num_items": len(rows),
        }
        return TaskResult(totals, rows)
