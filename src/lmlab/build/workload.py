"""What the time, memory and disk space of a run depend on, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.config.rank_batch import per_rank_batch
from lmlab.config.shared_parameters import CROSS


@dataclasses.dataclass(frozen=True)
class RunWorkload:
    """Sizes and intervals of a run, resolved from its configuration.

    Attributes:
        model: the node ``model`` of the configuration as plain values.
        optim: the node ``optim`` of the configuration as plain values.
        steps: updates in total.
        batch_size: sequences per update.
        micro_batch_size: sequences per forward pass; None for the full batch.
        grad_clip_norm: bound of the global gradient norm; None for no clipping.
        log_every: steps between training rows.
        validate_every: steps between evaluations.
        validation_batch_size: windows per forward pass of an evaluation.
        validation_max_tokens: tokens of an evaluation; None for the full split.
        save_every: steps between checkpoints.
        keep_last: number of newest checkpoints that are kept.
        keep_steps: steps whose checkpoints are kept in addition.
        num_samples: texts that the trained model generates.
        sample_tokens: most tokens of each of these texts.
        concurrent_jobs: other jobs on the same device.
        ema: decay of the average of the weights; None for none.
        diagnose_every: steps between measurements of norms per layer; 0 or None for none.
        windows: whether attention crosses documents: ``cross`` or ``document``.
    """

    model: Mapping[str, Any]
    optim: Mapping[str, Any]
    steps: int
    batch_size: int
    micro_batch_size: int | None
    grad_clip_norm: float | None
    log_every: int
    validate_every: int
    validation_batch_size: int
    validation_max_tokens: int | None
    save_every: int
    keep_last: int
    keep_steps: tuple[int, ...]
    num_samples: int
    sample_tokens: int
    concurrent_jobs: int
    ema: float | None = None
    diagnose_every: int | None = None
    windows: str = CROSS

    @property
    def pass_size(self) -> int:
        """Sequences per forward pass of an update."""
        return self.micro_batch_size or self.batch_size

    @property
    def vocab_size(self) -> int:
        """Entries of the vocabulary."""
        return int(self.model["vocab_size"])

    @property
    def context_length(self) -> int:
        """Tokens per sequence."""
        return int(self.model["context_length"])

    def for_rank(self, num_ranks: int) -> RunWorkload:
        """Return the part of one of ``num_ranks`` ranks. Raises :class:`ConfigError`."""
        batch, micro = per_rank_batch(self.batch_size, self.micro_batch_size, num_ranks)
        return dataclasses.replace(self, batch_size=batch, micro_batch_size=micro)

    def accounting_settings(self) -> dict[str, Any]:
        """Return the part of the configuration that :mod:`lmlab.accounting` reads."""
        return {
            "data": {"windows": self.windows},
            "model": self.model,
            "optim": self.optim,
            "training": {
                "steps": self.steps,
                "batch_size": self.batch_size,
                "micro_batch_size": self.micro_batch_size,
                "log_every": self.log_every,
                "ema": self.ema,
                "diagnose_every": self.diagnose_every,
            },
            "validation": {
                "every_steps": self.validate_every,
                "batch_size": self.validation_batch_size,
            },
            "checkpoint": {
                "every_steps": self.save_every,
                "keep_last": self.keep_last,
                "keep_steps": self.keep_steps,
            },
        }
