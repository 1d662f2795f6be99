"""Training batches from several sources in fixed shares; see :mod:`lmlab.data.batches`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmlab.data.batches import Batches
from lmlab.data.ids import Ids
from lmlab.data.mixed_tokens import Part
from lmlab.data.share_schedule import ShareSchedule


class MixedBatches(Batches):
    """Windows of sources in their shares, each source in the order of its own :class:`Batches`.

    Sequence number n of the run comes from the source that
    :class:`lmlab.data.share_schedule.ShareSchedule` says, whatever the batch size. It is the next
    window of this source, which has its own epochs and is read as it would be alone with the same
    seed. No window spans two sources. With one source, the batches are those of :class:`Batches`.

    Args:
        tokens: the ids of all sources in a row.
        parts: the sources.
        context_length: T.
        batch_size: B.
        seed: seed of the order.
        part: the sequences of each batch to return, where several processes share a batch.

    Raises:
        DataError: a source has fewer than T + 1 tokens.
    """

    def __init__(
        self,
        tokens: Ids,
        parts: Sequence[Part],
        *,
        context_length: int,
        batch_size: int,
        seed: int,
        part: slice = slice(None),
    ) -> None:
        super().__init__(
            tokens, context_length=context_length, batch_size=batch_size, seed=seed, part=part
        )
        self.parts = tuple(parts)
        self._schedule = ShareSchedule([one.share for one in parts])
        self._sources = [
            Batches(
                one.split.tokens, context_length=context_length, batch_size=batch_size, seed=seed
            )
            for one in parts
        ]

    def num_epochs(self, steps: int) -> float:
        """Average number of times that ``steps`` updates read each window of the sources."""
        windows = sum(source.num_windows for source in self._sources)
        return steps * self.batch_size / windows

    def source_facts(self, steps: int) -> dict[str, dict[str, float]]:
        """Return what a run reads of each named source in ``steps`` updates; empty for one source.

        Returns:
            By name: ``share`` of the sequences, ``train_tokens`` of the source, and ``epochs``, the
            average number of times that each of its windows is read.
        """
        counts = self._schedule.counts(steps * self.batch_size)
        return {
            one.name: {
                "share": float(one.share),
                "train_tokens": one.split.num_tokens,
                "epochs": count / source.num_windows,
            }
            for one, count, source in zip(self.parts, counts, self._sources, strict=True)
            if one.name
        }

    def starts_of(
        self, samples: np.ndarray[Any, np.dtype[np.int64]]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Offsets of the windows of sequences in the ids of all sources, (N,)."""
        which, numbers = self._schedule.assign(samples)
        starts = np.empty(len(samples), dtype=np.int64)
        for index, (one, source) in enumerate(zip(self.parts, self._sources, strict=True)):
            chosen = which == index
            starts[chosen] = one.start + source.starts_of(numbers[chosen])
        return starts
