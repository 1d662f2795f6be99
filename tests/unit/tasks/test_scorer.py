from __future__ import annotations

import numpy as np
import pytest
from task_model import small_model, token_by_token

from lmlab.distributed.communicator import Communicator
from lmlab.nn.document_layout import Documents
from lmlab.tasks.requests import Request
from lmlab.tasks.scorer import Scorer

MODEL, TOKENIZER = small_model()
T = MODEL.context_length


def some_requests(number: int = 30) -> list[Request]:
    draw = np.random.default_rng(0)
    found = []
    for _ in range(number):
        sizes = draw.integers(1, T - 3), draw.integers(1, 4)
        found.append(Request(*(draw.integers(0, MODEL.vocab_size, size) for size in sizes)))
    return found


def test_documents_in_a_context_are_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    end = int(some_requests()[0].context[-2])
    monkeypatch.setattr(MODEL, "documents", Documents(end))
    ids = np.arange(12) + 20
    ids[6] = end
    requests = [*some_requests(), Request(ids, np.array([3, 4]))]
    scores = Scorer(MODEL, TOKENIZER, batch_size=7).score(requests)
    for request, score in zip(requests, scores, strict=True):
        expected, _ = token_by_token(MODEL, request.context.tolist(), request.continuation.tolist())
        assert score.token_log_likelihoods == pytest.approx(expected, abs=2e-5)
    ids[:6] = 7  # of the document before
    (again,) = Scorer(MODEL, TOKENIZER).score([Request(ids, np.array([3, 4]))])
    assert again.log_likelihood == pytest.approx(scores[-1].log_likelihood, abs=1e-5)
    MODEL.documents = None
    (crossing,) = Scorer(MODEL, TOKENIZER).score([Request(ids, np.array([3, 4]))])
    assert crossing.log_likelihood != pytest.approx(again.log_likelihood, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_scores_equal_those_of_one_token_at_a_time_for_every_batch_size(batch_size: int) -> None:
    requests = some_requests()
    # Continue some greedily, so that both answers to "is it the most likely one" occur.
    for index in range(0, 30, 3):
        ids = requests[index].context.tolist()
        greedy = int(MODEL(_tensor(ids))[0, -1].argmax())
        requests[index] = Request(requests[index].context, np.array([greedy]))
    scores = Scorer(MODEL, TOKENIZER, batch_size=batch_size).score(requests)
    assert len(scores) == len(requests)
    for request, score in zip(requests, scores, strict=True):
        expected, is_greedy = token_by_token(
            MODEL, request.context.tolist(), request.continuation.tolist()
        )
        assert score.token_log_likelihoods == pytest.approx(expected, abs=2e-5)
        assert score.log_likelihood == pytest.approx(sum(expected), abs=5e-5)
        assert score.is_greedy is is_greedy
    assert {score.is_greedy for score in scores} == {True, False}


def test_a_context_that_is_too_long_loses_its_first_tokens() -> None:
    ids = np.arange(3 * T) % 200
    long = Request(ids[: 2 * T], ids[2 * T : 2 * T + 5])
    cut = Request(ids[2 * T + 5 - (T + 1) : 2 * T], long.continuation)
    scores = Scorer(MODEL, TOKENIZER).score([long, cut])
    assert scores[0].log_likelihood == scores[1].log_likelihood
    # The full context of T tokens is used, and no token fewer.
    shorter = Request(cut.context[1:], cut.continuation)
    other = Scorer(MODEL, TOKENIZER).score([shorter])[0]
    assert other.log_likelihood != pytest.approx(scores[0].log_likelihood, abs=1e-3)


def test_equal_requests_have_equal_scores_bit_for_bit() -> None:
    requests = some_requests(12)
    doubled = [*requests, *requests[::-1]]
    scores = Scorer(MODEL, TOKENIZER, batch_size=5).score(doubled)
    values = [score.log_likelihood for score in scores]
    assert values == values[::-1]
    assert len(set(values)) == 12


def test_requests_that_begin_alike_share_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    story = np.arange(20) % 7
    answers = [Request(story[:9], np.array([token])) for token in (3, 5, 200)]
    longer = [Request(story[:12], np.array([4, 6])), Request(story[:5], story[5:8])]
    apart = [Request(story[1:9], np.array([3])), Request(story[:9], np.array([8, 9]))]
    requests = [*answers, *longer, *apart]
    expected = [Scorer(MODEL, TOKENIZER).score([one])[0] for one in requests]
    seen, hidden = [], MODEL.hidden
    monkeypatch.setattr(MODEL, "hidden", lambda ids: seen.append(ids.shape) or hidden(ids))
    found = Scorer(MODEL, TOKENIZER).score(requests)
    # story[:12] and its first target, story[1:9], and story[:9] with its first target
    assert seen == [(3, 13)]
    for one, other in zip(found, expected, strict=True):
        assert one.token_log_likelihoods == pytest.approx(other.token_log_likelihoods, abs=2e-5)
        assert one.is_greedy == other.is_greedy


class _Rank(Communicator):
    """One of two ranks that never meet: sums what the test gives it."""

    size = 2

    def __init__(self, rank: int) -> None:
        self.rank, self.seen = rank, np.zeros(0)

    def all_reduce_sum(self, values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        self.seen = values
        return values


def test_two_ranks_have_parts_whose_sum_is_the_result_of_one_process() -> None:
    requests, ranks = some_requests(), (_Rank(0), _Rank(1))
    for rank in ranks:
        Scorer(MODEL, TOKENIZER, batch_size=4, comm=rank).score(requests)
    alone = Scorer(MODEL, TOKENIZER, batch_size=4).score(requests)
    total = ranks[0].seen + ranks[1].seen
    assert not (ranks[0].seen * ranks[1].seen).any(), "no batch is computed twice"
    assert (
        total[:, 0].tolist()
        == np.concatenate([score.token_log_likelihoods for score in alone]).tolist()
    )


def _tensor(ids: list[int]):  # type: ignore[no-untyped-def]
    import torch

    return torch.tensor([ids])
