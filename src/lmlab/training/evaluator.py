"""Loss on held-out text, per token and per byte."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from lmlab.console.progress_bar import progress
from lmlab.data.ids import Ids
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.nn.transformer import Transformer
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import token_losses

Tokens = np.ndarray[Any, np.dtype[Any]]


@dataclasses.dataclass(frozen=True)
class ValidationResult:
    """Losses of one evaluation.

    Attributes:
        loss: mean negative log-likelihood in nats per token.
        perplexity: exp(loss).
        bits_per_byte: total bits divided by the UTF-8 bytes of the text, which do not depend on the
            tokenizer; see :func:`lmlab.data.text_bytes.evaluated_bytes`. Ends of texts have no
            bytes, but their loss counts.
        num_tokens: number of predicted tokens.
        num_bytes: number of bytes of the text; 0 if it is not known.
        sources: results for the sources of the text by name, where it has several; see
            :func:`lmlab.training.mixed_evaluator.weighted_mean`.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    num_tokens: int
    num_bytes: int = 0
    sources: Mapping[str, ValidationResult] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_sums(cls, nats: float, num_tokens: int, num_bytes: int) -> ValidationResult:
        """Return the result for a text from its total loss.

        Args:
            nats: negative log-likelihood of all predicted tokens together.
            num_tokens: number of predicted tokens, at least 1.
            num_bytes: number of bytes of the text; 0 if it is not known.
        """
        loss = nats / num_tokens
        return cls(
            loss=loss,
            perplexity=math.exp(loss) if loss < 700 else math.inf,
            bits_per_byte=nats / math.log(2) / num_bytes if num_bytes else math.nan,
            num_tokens=num_tokens,
            num_bytes=num_bytes,
        )

    def scores(self) -> dict[str, float]:
        """Return what is recorded; of a source, ``loss/<name>`` and ``bits_per_byte/<name>``."""
        found = {
            "loss": self.loss,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
            "num_tokens": self.num_tokens,
        }
        for name, one in self.sources.items():
            found |= {f"loss/{name}": one.loss, f"bits_per_byte/{name}": one.bits_per_byte}
        return found

    @property
    def is_finite(self) -> bool:
        """Whether the loss is neither NaN nor infinite."""
        return math.isfinite(self.loss)


class Evaluator:
    """Measures a model on fixed windows of the validation tokens.

    The model predicts all tokens of a window except the first. Windows that cover the full split
    overlap by this one token, so that each token but the first of the split is predicted once.

    Args:
        tokens: the validation split, (num_tokens,) unsigned integers.
        windows: start and length in tokens of each window; lengths are at most T + 1.
        num_bytes: UTF-8 bytes of the text that the windows measure.
        batch_size: windows per forward pass.
        device: device of the model.
        use_bf16: compute in the bf16 policy; see :mod:`lmlab.training.mixed_precision`.
        comm: the ranks that share the forward passes; the sums of losses have the order of one
            process.
    """

    def __init__(
        self,
        tokens: Ids,
        windows: list[tuple[int, int]],
        num_bytes: int,
        *,
        batch_size: int,
        device: torch.device,
        use_bf16: bool = False,
        comm: Communicator = SINGLE_PROCESS,
    ) -> None:
        self.tokens = tokens
        self.windows = windows
        self.num_bytes = num_bytes
        self.batch_size = batch_size
        self.device = device
        self.use_bf16 = use_bf16
        self.comm = comm

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> ValidationResult:
        """Return the losses of ``model``; its training mode is restored afterwards."""
        was_training = model.training
        model.eval()
        network = model
        if self.use_bf16:
            assert isinstance(model, Transformer)
            network = Bf16Weights(model).model
        losses_of = token_losses(network)
        # Nats and tokens of each batch; each rank fills in the rows of its batches. Float32 losses
        # are summed in float64, on the host because MPS has no float64.
        batches = self._batches()
        sums = np.zeros((len(batches), 2))
        for index, (starts, length) in progress(
            self.comm.shard(batches), total=math.ceil(len(batches) / self.comm.size),
            desc="evaluating", unit="batch", shown=self.comm.is_rank0, is_part=True,
        ):  # fmt: skip
            inputs, targets = self._windows(starts, length)
            losses = losses_of(
                torch.from_numpy(inputs).to(self.device), torch.from_numpy(targets).to(self.device)
            )
            sums[index] = float(losses.cpu().double().sum()), targets.size
        model.train(was_training)
        # Summed sequentially, in the order of one process.
        nats, num_tokens = map(sum, self.comm.all_reduce_sum(sums).T.tolist())
        return ValidationResult.of_sums(nats, int(num_tokens), self.num_bytes)

    def _batches(self) -> list[tuple[list[int], int]]:
        """Return, for each batch, the starts of its windows and their common length."""
        by_length: dict[int, list[int]] = {}
        for start, length in self.windows:
            by_length.setdefault(length, []).append(start)
        return [
            (starts[first : first + self.batch_size], length)
            for length, starts in by_length.items()
            for first in range(0, len(starts), self.batch_size)
        ]

    def _windows(self, starts: list[int], length: int) -> tuple[Tokens, Tokens]:
        """Return inputs and targets (B, T)."""
        positions = np.array(starts)[:, None] + np.arange(length)
        window = self.tokens[positions].astype(np.int64)
        return window[:, :-1], window[:, 1:]
