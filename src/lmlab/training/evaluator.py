"""Loss on held-out text, per token and per byte."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import nn

from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.nn.transformer import Transformer
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import full_logits_loss

Tokens = np.ndarray[Any, np.dtype[Any]]


@dataclasses.dataclass(frozen=True)
class ValidationResult:
    """Losses of one evaluation.

    Attributes:
        loss: mean negative log-likelihood in nats a token.
        perplexity: exp(loss).
        bits_per_byte: total bits over the UTF-8 bytes of the predicted tokens; special tokens
            count no byte, but their loss is counted.
        num_tokens: predicted tokens.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    num_tokens: int

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number that can be compared."""
        return math.isfinite(self.loss)


class Evaluator:
    """Measures a model on fixed windows of the validation tokens.

    Each window predicts all of its tokens but the first; windows that cover the whole split
    overlap by that one token, so that every token but the split's first is predicted once.

    Args:
        tokens: the validation split, (num_tokens,) unsigned integers.
        windows: start and length in tokens of each window, lengths at most T + 1.
        token_bytes: (V,) UTF-8 bytes of each vocabulary entry, 0 for special tokens.
        batch_size: windows a forward pass.
        device: where the model is.
        in_bf16: compute as a run of the bf16 policy does; see :mod:`lmlab.training.mixed_precision`.
        comm: that share the forward passes; the sums are those of one process, bit for bit where
            the losses are.
    """

    def __init__(
        self,
        tokens: np.ndarray[Any, Any],
        windows: list[tuple[int, int]],
        token_bytes: np.ndarray[Any, Any],
        *,
        batch_size: int,
        device: torch.device,
        in_bf16: bool = False,
        comm: Communicator = SINGLE_PROCESS,
    ) -> None:
        self.tokens = tokens
        self.windows = windows
        self.token_bytes = token_bytes
        self.batch_size = batch_size
        self.device = device
        self.in_bf16 = in_bf16
        self.comm = comm

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> ValidationResult:
        """Return the losses of ``model``; its training mode is restored afterwards."""
        was_training = model.training
        model.eval()
        computing = model
        if self.in_bf16:
            assert isinstance(model, Transformer)
            computing = Bf16Weights(model).model
        # Of each batch: nats, tokens and bytes. Sums of float32 losses are taken in float64, on
        # the host where MPS has no float64, and every rank fills in the batches that are its own.
        token_losses = full_logits_loss(computing, reduction="none")
        batches = self._batches()
        sums = np.zeros((len(batches), 3))
        for index, (starts, length) in self.comm.shard(batches):
            inputs, targets = self._windows(starts, length)
            losses = token_losses(
                torch.from_numpy(inputs).to(self.device), torch.from_numpy(targets).to(self.device)
            )
            num_bytes = int(self.token_bytes[targets].sum())
            sums[index] = float(losses.cpu().double().sum()), targets.size, num_bytes
        model.train(was_training)
        # One after the other, in the order of one process.
        nats, num_tokens, num_bytes = map(sum, self.comm.all_reduce_sum(sums).T.tolist())
        loss = nats / num_tokens
        return ValidationResult(
            loss=loss,
            perplexity=math.exp(loss) if loss < 700 else math.inf,
            bits_per_byte=nats / math.log(2) / num_bytes if num_bytes else math.nan,
            num_tokens=int(num_tokens),
        )

    def _batches(self) -> list[tuple[list[int], int]]:
        """The starts of each batch's windows and their length, which they share."""
        by_length: dict[int, list[int]] = {}
        for start, length in self.windows:
            by_length.setdefault(length, []).append(start)
        return [
            (starts[first : first + self.batch_size], length)
            for length, starts in by_length.items()
            for first in range(0, len(starts), self.batch_size)
        ]

    def _windows(self, starts: list[int], length: int) -> tuple[Tokens, Tokens]:
        """Inputs and targets (B, T)."""
        places = np.array(starts)[:, None] + np.arange(length)
        window = self.tokens[places].astype(np.int64)
        return window[:, :-1], window[:, 1:]
