"""What a run reads of each source of a mixture, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lmlab.config.mixture_settings import SOURCES


def describe_sources(facts: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield a line for each source; it says what to do about one that is read more than once.

    Args:
        facts: see :meth:`lmlab.data.mixed_batches.MixedBatches.source_facts`.
    """
    for name, one in facts.items():
        line = (
            f"{SOURCES}.{name}: {one['share']:.2%} of the training tokens; the run reads its "
            f"{one['train_tokens']:,.0f} tokens {one['epochs']:.2f} times"
        )
        if one["epochs"] > 1:
            line = f"warning: {line}; to repeat less, lower data.weights.{name} or training.steps"
        yield line
