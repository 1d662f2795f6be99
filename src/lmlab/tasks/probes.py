"""Probes: questions whose exact answers are known, asked of a model.

The text of a run may come from a process that knows its probabilities, such as the story grammar of
:mod:`lmlab.data.story_probes`. A probe then compares a model with that process: on each item, the
probabilities of a few answers after a context.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmlab.data.story_probes import ProbeItem
from lmlab.tasks.probe_scores import GROUP, SCORES
from lmlab.tasks.requests import Request, make_request
from lmlab.tasks.task import TaskResult
from lmlab.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lmlab.tasks.scorer import Score, Scorer

MAX_ANSWERS = 4
Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True)
class Question:
    """An item for one tokenizer.

    Attributes:
        requests: of the answers; the first is what the text says.
        truth: exact probability of each answer, given that one of them follows, (num_answers,).
        is_per_token: whether answers are compared by log-likelihood per token, because they have
            different numbers of tokens.
        distance: see :class:`lmlab.data.story_probes.ProbeItem`.
        is_cut: whether the model reads only the end of the context.
    """

    requests: tuple[Request, ...]
    truth: Vector
    is_per_token: bool
    distance: int
    is_cut: bool

    def scores(self, log_likelihoods: Vector) -> dict[str, float]:
        """Return the scores of a model on the item; see :class:`Probe`.

        Args:
            log_likelihoods: of each answer after the context in nats, (num_answers,).
        """
        if not log_likelihoods.max() > -math.inf:  # NaN: the weights have diverged
            return dict.fromkeys(SCORES, math.nan)
        lengths = [len(request.continuation) for request in self.requests]
        compared = log_likelihoods / np.array(lengths if self.is_per_token else 1.0)
        chosen = compared == compared.max()
        wrong = compared[self.truth == 0].max()
        return {
            "accuracy": float(self.truth[chosen].mean()),
            "margin": float(compared[0] - wrong),
            "kl": _divergence(self.truth, log_likelihoods),
        }


@dataclasses.dataclass(frozen=True)
class Probe:
    """A phenomenon and the items that ask about it.

    The scores of a model are means over the items of

    - ``accuracy``: the exact probability that the answer which the model prefers is the one that
      follows. Of equally preferred answers it is the mean. No model exceeds the exact conditional.
    - ``margin``: log-likelihood in nats of what the text says less that of the most likely answer
      that is impossible.
    - ``kl``: divergence in nats of the model from the truth, KL(truth || model), both as
      probabilities of the item's answers given that one of them follows.

    A model prefers the answer of the highest log-likelihood, or, as in ``margin``, log-likelihood
    per token on items whose answers have different numbers of tokens.

    Attributes:
        name: of the phenomenon.
        questions: its items, at least one.
    """

    name: str
    questions: tuple[Question, ...]

    def result(self, scores: Sequence[Score]) -> TaskResult:
        """Return the result of a model.

        Args:
            scores: of all requests of all questions, in order.
        """
        rows: list[dict[str, float]] = []
        start = 0
        for number, question in enumerate(self.questions):
            end = start + len(question.requests)
            found = np.array([score.log_likelihood for score in scores[start:end]])
            rows.append({"id": number, "distance": question.distance} | question.scores(found))
            start = end
        means = {key: float(np.mean([row[key] for row in rows])) for key in SCORES}
        return TaskResult(means | {"num_items": len(rows)}, rows)

    def facts(self) -> dict[str, Any]:
        """Return what is known of the probe without a model.

        ``best`` holds the scores of the exact conditional (its margin has no bound),
        ``chance`` the accuracy of a guess, ``num_items``, ``num_per_token`` and ``num_cut`` numbers
        of items; see :class:`Question`.
        """
        return {
            "num_items": len(self.questions),
            "best": {
                "accuracy": float(np.mean([one.truth.max() for one in self.questions])),
                "kl": 0.0,
            },
            "chance": float(np.mean([1 / len(one.truth) for one in self.questions])),
            "num_per_token": sum(one.is_per_token for one in self.questions),
            "num_cut": sum(one.is_cut for one in self.questions),
        }


@dataclasses.dataclass(frozen=True)
class Probes:
    """All probes of a run; their items share forward passes.

    Attributes:
        probes: in the order in which they are recorded.
    """

    probes: tuple[Probe, ...] = ()

    @property
    def requests(self) -> list[Request]:
        """The requests of all questions of all probes, in order."""
        return [one for probe in self.probes for item in probe.questions for one in item.requests]

    def evaluate(self, scorer: Scorer) -> Iterator[tuple[str, TaskResult]]:
        """Yield the name and the result of each probe, such as ``probes/plots``."""
        scores = scorer.score(self.requests) if self.probes else []
        start = 0
        for probe in self.probes:
            end = start + sum(len(one.requests) for one in probe.questions)
            yield f"{GROUP}/{probe.name}", probe.result(scores[start:end])
            start = end

    def facts(self) -> dict[str, Any] | None:
        """Return :meth:`Probe.facts` by name; None without probes."""
        return {probe.name: probe.facts() for probe in self.probes} or None


NO_PROBES = Probes()


def load_probes(
    items: Mapping[str, Sequence[ProbeItem]],
    tokenizer: Tokenizer,
    context_length: int,
) -> Probes:
    """Encode the items of each probe; a probe without items is left out.

    Args:
        items: by name of the probe.
        tokenizer: of the model.
        context_length: most tokens that the model reads, T.
    """
    found = []
    for name, of_probe in items.items():
        asked = [_question(item, tokenizer, context_length) for item in of_probe]
        questions = tuple(one for one in asked if one is not None)
        if questions:
            found.append(Probe(name, questions))
    return Probes(tuple(found))


def _question(item: ProbeItem, tokenizer: Tokenizer, context_length: int) -> Question | None:
    """Encode an item; None if an answer is longer than the context.

    Its answers are what the text says and up to three others of as many tokens. If none of these is
    impossible, they are impossible ones of any length.
    """
    request = functools.cache(functools.partial(make_request, tokenizer, item.context))
    length = len(request(item.right).continuation)
    alike = (
        at
        for at, answer in enumerate(item.others, start=1)
        if len(request(answer).continuation) == length
    )
    chosen = list(itertools.islice(alike, MAX_ANSWERS - 1))  # encodes no more than are needed
    is_per_token = all(item.probs[at] for at in chosen)
    if is_per_token:
        chosen = [at for at in range(1, len(item.probs)) if not item.probs[at]][: MAX_ANSWERS - 1]
    chosen = [0, *chosen]
    requests = tuple(request((item.right, *item.others)[at]) for at in chosen)
    lengths = [len(one.continuation) for one in requests]
    if max(lengths) > context_length:
        return None
    probs = np.array([item.probs[at] for at in chosen])
    return Question(
        requests=requests,
        truth=probs / probs.sum(),
        is_per_token=is_per_token,
        distance=item.distance,
        is_cut=len(requests[0].context) + max(lengths) - 1 > context_length,
    )


def _divergence(truth: Vector, log_likelihoods: Vector) -> float:
    """Return KL(truth || model) in nats; the model's probabilities are those given the answers."""
    highest = log_likelihoods.max()
    log_model = log_likelihoods - highest
    log_model = log_model - math.log(np.exp(log_model).sum())
    possible = truth > 0
    return float((truth[possible] * (np.log(truth[possible]) - log_model[possible])).sum())
