"""Loss on held-out text, per token and per byte."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True)
class Validation:
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
        autocast: makes the context that forward passes run in.
    """

    def __init__(
        self,
        tokens: np.ndarray[Any, Any],
        windows: list[tuple[int, int]],
        token_bytes: np.ndarray[Any, Any],
        *,
        batch_size: int,
        device: torch.device,
        autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self.tokens = tokens
        self.windows = windows
        self.token_bytes = token_bytes
        self.batch_size = batch_size
        self.device = device
        self.autocast = autocast

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> Validation:
        """Return the losses of ``model``; its training mode is restored afterwards."""
        was_training = model.training
        model.eval()
        # Sums of float32 losses in float64, on the host where MPS has no float64.
        nats, num_tokens, num_bytes = 0.0, 0, 0
        for inputs, targets in self._batches():
            with self.autocast():
                logits = model(torch.from_numpy(inputs).to(self.device))
            flat = torch.from_numpy(targets).to(self.device).flatten()
            losses = F.cross_entropy(logits.float().flatten(0, 1), flat, reduction="none")
            nats += float(losses.cpu().double().sum())
            num_tokens += targets.size
            num_bytes += int(self.token_bytes[targets].sum())
        model.train(was_training)
        loss = nats / num_tokens
        return Validation(
            loss=loss,
            perplexity=math.exp(loss) if loss < 700 else math.inf,
            bits_per_byte=nats / math.log(2) / num_bytes if num_bytes else math.nan,
            num_tokens=num_tokens,
        )

    def _batches(self) -> Any:
        """Yield inputs and targets (B, T); windows of one length share a batch."""
        by_length: dict[int, list[int]] = {}
        for start, length in self.windows:
            by_length.setdefault(length, []).append(start)
        for length, starts in by_length.items():
            offsets = np.arange(length)
            for first in range(0, len(starts), self.batch_size):
                chosen = np.array(starts[first : first + self.batch_size])
                window = self.tokens[chosen[:, None] + offsets].astype(np.int64)
                yield window[:, :-1], window[:, 1:]
