"""What a task is: a name, a hash of its content, and scores of a model with their items.

A run evaluates its tasks at each evaluation (:mod:`lmlab.build.run_data` loads them,
:class:`lmlab.training.trainer.Trainer` records them). Whatever has these attributes is a task; it
needs no base class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lmlab.tasks.scorer import Scorer
    from lmlab.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """The scores of one evaluation of a task.

    Attributes:
        scores: numbers by name, which become a row of ``metrics.jsonl``; ``num_items`` among them.
            Names are those of settings (``accuracy``, ``margin``), and not ``kind``, ``step``,
            ``tokens``, ``seconds`` or ``name``.
        items: one mapping per item, in a fixed order: its ``id``, which is unique in the task, and
            numbers. A number whose mean over the items is a score has the name of that score, so
            that two models can be compared item by item on any of them.
    """

    scores: Mapping[str, float]
    items: Sequence[Mapping[str, Any]]


class Task(Protocol):
    """A task whose items are ready for one tokenizer and one length of context.

    It holds plain values only (strings, numbers, arrays): with several ranks, rank 0 loads it and
    sends it to the others.
    """

    @property
    def name(self) -> str:
        """Names the scores: ``tasks/<name>/accuracy``."""
        ...

    @property
    def hash(self) -> str:
        """SHA-256 of everything except the model and the tokenizer that the scores depend on.

        It is part of the identity of a run, so it must not depend on paths.
        """
        ...

    @property
    def num_tokens(self) -> int:
        """Tokens that an evaluation passes through the model, to predict its time."""
        ...

    def evaluate(self, scorer: Scorer) -> TaskResult:
        """Score a model.

        With several ranks, every rank calls this with the same items and gets the same result: a
        task that computes with the scorer alone needs no further care.

        Args:
            scorer: computes log-likelihoods with the model, in evaluation mode and without
                gradients; ``scorer.model`` and ``scorer.tokenizer`` are there for other measures.
        """
        ...


class TaskSource(Protocol):
    """Where a task comes from, before there is a tokenizer."""

    @property
    def name(self) -> str:
        """Name of the task."""
        ...

    def check(self) -> None:
        """Check everything that can be checked without the tokenizer, in well under a second.

        Raises:
            UserError: the task cannot be loaded; the message names file and line.
        """
        ...

    def load(self, tokenizer: Tokenizer, context_length: int) -> Task:
        """Return the task for a tokenizer.

        Args:
            tokenizer: of the model.
            context_length: most tokens that the model reads, T.

        Raises:
            UserError: the task cannot be loaded, or an item does not fit the context.
        """
        ...
