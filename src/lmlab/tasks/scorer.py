"""Log-likelihoods of continuations, in padded batches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmlab.console.progress_bar import progress
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.nn.transformer import Transformer
from lmlab.tasks.requests import Ids, Request
from lmlab.tokenizer import Tokenizer

Values = np.ndarray[Any, np.dtype[np.float64]]
_LOGITS_AT_ONCE = 1 << 25  # numbers, 128 MiB in float32


@dataclasses.dataclass(frozen=True)
class Score:
    """The likelihood of a continuation.

    Attributes:
        token_log_likelihoods: of each token of the continuation in nats, (num_tokens,) float64.
        is_greedy: whether each token is the most likely one at its place.
    """

    token_log_likelihoods: Values
    is_greedy: bool

    @property
    def log_likelihood(self) -> float:
        """Of the continuation, in nats."""
        return float(self.token_log_likelihoods.sum())


class Scorer:
    """Computes likelihoods with a model.

    Sequences of similar lengths share a forward pass and are padded on the right, where causal
    attention does not see it: results are those of one sequence at a time up to rounding. Equal
    requests are computed once, so that their results are equal. A request whose inputs begin those
    of another one shares its row: answers of one token after the same context cost one pass.

    Args:
        model: in evaluation mode.
        tokenizer: of the model.
        batch_size: sequences per forward pass.
        comm: the ranks that share the forward passes; each gets all results.

    Attributes:
        network: the model that computes, perhaps a copy with bfloat16 matrices of ``model``.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        batch_size: int = 32,
        network: Transformer | None = None,
        comm: Communicator = SINGLE_PROCESS,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.network = model if network is None else network
        self.comm = comm

    @property
    def context_length(self) -> int:
        """Most tokens that the model reads, T."""
        return self.model.context_length

    def score(self, requests: Sequence[Request]) -> list[Score]:
        """Return the likelihood of each continuation, in nats, computed in float32.

        A request of more than T + 1 tokens is cut from the left; its continuation has at most T.
        """
        windows = [request.window(self.context_length) for request in requests]
        sizes = [len(request.continuation) for request in requests]
        for size in sizes:
            assert 1 <= size <= self.context_length, "tasks refuse longer continuations"
        keys = [(window.tobytes(), size) for window, size in zip(windows, sizes, strict=True)]
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        rows = _shared_rows({index: windows[index][:-1] for index in sorted(first.values())})
        rows.sort(key=lambda row: (1 - len(windows[row[0]]), row[0]))
        batches = [
            rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)
        ]
        ends = np.cumsum([0, *sizes])
        # Log-likelihood of each token, and whether it is the most likely; each rank fills in those
        # of its batches, and a sum with zeros changes no bit.
        values = np.zeros((int(ends[-1]), 2))
        for _, batch in progress(
            self.comm.shard(batches), total=math.ceil(len(batches) / self.comm.size),
            desc="scoring", unit="batch", shown=self.comm.is_rank0, is_part=True,
        ):  # fmt: skip
            found = self._score_batch(batch, windows, sizes)
            start = 0
            for index in (one for row in batch for one in row):
                values[ends[index] : ends[index + 1]] = found[start : start + sizes[index]]
                start += sizes[index]
        values = self.comm.all_reduce_sum(values)
        parts = [values[ends[one] : ends[one + 1]] for one in (first[key] for key in keys)]
        return [Score(part[:, 0].copy(), bool(part[:, 1].all())) for part in parts]

    @torch.inference_mode()
    def _score_batch(
        self, batch: Sequence[Sequence[int]], windows: Sequence[Any], sizes: Sequence[int]
    ) -> Values:
        """Return log-likelihood and greediness (0 or 1) of all predicted tokens, (N, 2).

        Args:
            batch: the requests of each row; the inputs of the first one are those of the row.
            windows: of all requests.
            sizes: number of predicted tokens of all requests.
        """
        inputs_BT = np.zeros((len(batch), len(windows[batch[0][0]]) - 1), dtype=np.int64)
        for row, (longest, *_) in enumerate(batch):
            inputs_BT[row, : len(windows[longest]) - 1] = windows[longest][:-1]
        requests = [(row, index) for row, shared in enumerate(batch) for index in shared]
        rows = np.concatenate([np.full(sizes[index], row) for row, index in requests])
        last = [(len(windows[index]), sizes[index]) for _, index in requests]
        columns = np.concatenate([np.arange(length - 1 - n, length - 1) for length, n in last])
        targets = np.concatenate([windows[index][-sizes[index] :] for _, index in requests])
        device = self.network.device
        hidden_BTD = self.network.hidden(torch.from_numpy(inputs_BT).to(device))
        place = torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)
        hidden_ND, targets_N = hidden_BTD[place], torch.from_numpy(targets).to(device)
        at_once = max(1, _LOGITS_AT_ONCE // self.network.vocab_size)
        found = [
            self._likelihoods(
                hidden_ND[start : start + at_once], targets_N[start : start + at_once]
            )
            for start in range(0, len(targets), at_once)
        ]
        values: Values = np.concatenate([one.cpu().double().numpy() for one in found])
        return values

    def _likelihoods(self, hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
        logits_NV = self.network.head(hidden_ND[None])[0].float()
        log_probabilities = logits_NV.log_softmax(-1).gather(-1, targets_N[:, None])
        is_greedy = logits_NV.argmax(-1) == targets_N
        return torch.cat([log_probabilities, is_greedy[:, None].float()], dim=1)


def _shared_rows(inputs: Mapping[int, Ids]) -> list[list[int]]:
    """Group requests whose inputs begin alike: the inputs of the first one hold all others.

    In lexicographic order, inputs that begin other ones stand before them, and everything between
    begins so too. Comparing neighbours therefore finds all of them.
    """
    rows: list[list[int]] = []
    texts = {index: ids.tolist() for index, ids in inputs.items()}
    longest: list[int] = []
    for index in sorted(texts, key=lambda one: (texts[one], -one), reverse=True):
        if rows and longest[: len(texts[index])] == texts[index]:
            rows[-1].append(index)
        else:
            longest = texts[index]
            rows.append([index])
    return rows
