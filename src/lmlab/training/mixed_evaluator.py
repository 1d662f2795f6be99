"""Loss on held-out text of several sources, each by itself and all together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from torch import nn

from lmlab.training.evaluator import Evaluator, ValidationResult


class MeasuredSource(NamedTuple):
    """A source of held-out text.

    Attributes:
        name: empty where it is the only one.
        share: of the loss of all sources.
        evaluator: measures the model on it.
    """

    name: str
    share: Fraction
    evaluator: Evaluator


class MixedEvaluator:
    """Measures a model on one source after another.

    Args:
        sources: in order.
    """

    def __init__(self, sources: Sequence[MeasuredSource]) -> None:
        self.sources = tuple(sources)

    def evaluate(self, model: nn.Module) -> ValidationResult:
        """Return the losses of ``model`` on all sources, and on each in ``sources``."""
        results = {one.name: one.evaluator.evaluate(model) for one in self.sources}
        if list(results) == [""]:
            return results[""]
        return weighted_mean(results, {one.name: one.share for one in self.sources})


def weighted_mean(
    results: Mapping[str, ValidationResult], shares: Mapping[str, Fraction]
) -> ValidationResult:
    """Return the result for all sources together.

    Its loss is the mean of the losses of the sources, weighted by their shares and not by their
    numbers of tokens; its bits per byte are the mean of theirs, so that no tokenizer changes what
    counts. They are NaN where the bytes of a source are not known.

    Args:
        results: of the sources, by name.
        shares: by name, with the sum 1.
    """
    loss = math.fsum(float(shares[name]) * one.loss for name, one in results.items())
    bits = math.fsum(float(shares[name]) * one.bits_per_byte for name, one in results.items())
    all_bytes = [one.num_bytes for one in results.values()]
    return ValidationResult(
        loss=loss,
        perplexity=math.exp(loss) if loss < 700 else math.inf,
        bits_per_byte=bits,
        num_tokens=sum(one.num_tokens for one in results.values()),
        num_bytes=sum(all_bytes) if all(all_bytes) else 0,
        sources=dict(results),
    )
