"""Training batches as a pure function of (seed, step): there is no state to save or restore."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from lmlab.data.ids import Ids
from lmlab.errors import DataError

Tokens = np.ndarray[Any, np.dtype[Any]]
_ROUNDS = 4


class Batches:
    """Random windows of T + 1 tokens; within an epoch each token is a target at most once.

    Sample number n = step * batch_size + j belongs to epoch n // num_windows. An epoch cuts the
    tokens into windows at a random phase and reads them in random order; both depend only on seed
    and epoch.

    Args:
        tokens: the training tokens, (num_tokens,) unsigned integers, for example a memmap.
        context_length: T.
        batch_size: B.
        seed: seed of the order.
        part: the sequences of each batch to return, where several processes share a batch.

    Raises:
        DataError: fewer than T + 1 tokens.
    """

    def __init__(
        self,
        tokens: Ids,
        *,
        context_length: int,
        batch_size: int,
        seed: int,
        part: slice = slice(None),
    ) -> None:
        if len(tokens) < context_length + 1:
            raise DataError(
                f"model.context_length={context_length}: expected at least {context_length + 1} "
                f"tokens of training text, found {len(tokens)}",
                "provide more text or lower model.context_length",
            )
        self.tokens = tokens
        self.context_length = context_length
        self.batch_size = batch_size
        self.seed = seed
        self.part = part
        # Every phase leaves space for the same number of windows, so all epochs have equal length
        # and every token is used eventually.
        num_targets = len(tokens) - 1
        self.num_windows = max(1, num_targets // context_length - 1)
        self.num_phases = num_targets - self.num_windows * context_length + 1

    def num_epochs(self, steps: int) -> float:
        """Average number of times that ``steps`` updates read each window."""
        return steps * self.batch_size / self.num_windows

    def starts(self, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Offsets of the windows of update number ``step``, (B,)."""
        return self.starts_of(self.samples(step))

    def samples(self, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Numbers of the sequences of update number ``step``, (B,)."""
        return step * self.batch_size + np.arange(self.batch_size, dtype=np.int64)

    def starts_of(
        self, samples: np.ndarray[Any, np.dtype[np.int64]]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Offsets of the windows of sequences, given their numbers, (N,)."""
        epochs, indices = np.divmod(samples, self.num_windows)
        starts = np.empty(len(samples), dtype=np.int64)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            keys = _keys(self.seed, int(epoch))
            phase = int(keys[-1] % np.uint64(self.num_phases))
            windows = permute(indices[chosen], self.num_windows, keys[:-1])
            starts[chosen] = phase + windows * self.context_length
        return starts

    def batch(self, step: int) -> tuple[Tokens, Tokens]:
        """Return inputs and targets of update number ``step``, each (B, T) int64.

        ``targets[b, t]`` is the token after ``inputs[b, t]``.
        """
        offsets = np.arange(self.context_length + 1)
        starts = self.starts(step)[self.part]
        windows = self.tokens[starts[:, None] + offsets].astype(np.int64)
        return windows[:, :-1], windows[:, 1:]


def permute(
    indices: np.ndarray[Any, np.dtype[np.int64]], size: int, keys: Tokens
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A keyed permutation of range(size), without a table.

    A Feistel network (Luby and Rackoff 1988) permutes the next even power of two; values outside
    the range are permuted again until they fall inside (Black and Rogaway 2002, cycle walking).

    Args:
        indices: values below ``size``.
        size: size of the permuted range.
        keys: one 64-bit key per round.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    values = indices.astype(np.uint64)
    outside = np.ones(len(values), dtype=bool)
    while outside.any():
        walking = values[outside]
        left, right = walking >> half, walking & mask
        for key in keys:
            left, right = right, left ^ (_mix(right + key) & mask)
        values[outside] = (left << half) | right
        outside = values >= np.uint64(size)
    return values.astype(np.int64)


def _keys(seed: int, epoch: int) -> Tokens:
    """Round keys, and one more number for the phase, from seed and epoch."""
    digest = hashlib.sha512(f"batches:{seed}:{epoch}".encode()).digest()
    return np.frombuffer(digest, dtype="<u8")[: _ROUNDS + 1].astype(np.uint64)


def _mix(x: Tokens) -> Tokens:
    """SplitMix64's finaliser (Steele et al. 2014): every bit of the input reaches every output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def validation_windows(
    tokens: Ids, *, context_length: int, max_tokens: int | None
) -> list[tuple[int, int]]:
    """Start and length of the evaluation windows, the same for every run.

    Consecutive windows share one token, so each token but the split's first is predicted exactly
    once; the last window may be shorter. With ``max_tokens``, full windows evenly spread over the
    split that predict at most this many tokens, but at least one window.

    Args:
        tokens: the validation split.
        context_length: T; a window holds at most T + 1 tokens.
        max_tokens: upper bound of predicted tokens; None for the full split.
    """
    last = len(tokens) - 1
    windows = [
        (start, min(context_length, last - start) + 1) for start in range(0, last, context_length)
    ]
    if max_tokens is None or max_tokens >= last:
        return windows
    full = [window for window in windows if window[1] == context_length + 1] or windows[:1]
    count = max(1, min(len(full), max_tokens // context_length))
    return [full[index * len(full) // count] for index in range(count)]
