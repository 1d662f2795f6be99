"""Costs of :mod:`lmlab.nn.head`. No torch."""

from __future__ import annotations

import dataclasses

from lmlab.nn.component_counts import ComponentCounts, Kind, SavedTensor


def LinearHead(*, d_model: int, vocab_size: int) -> ComponentCounts:
    """Count the output matrix and the loss. A tied matrix belongs to the embedding."""
    return ComponentCounts(
        parameters=vocab_size * d_model,
        matmul_weights=vocab_size * d_model,
        saved=(
            SavedTensor("head input", d_model),
            SavedTensor("log softmax", vocab_size, Kind.FLOAT32),
            SavedTensor("targets", 1, Kind.INDEX),
        ),
        textbook=(SavedTensor("logits", vocab_size), SavedTensor("cross-entropy", 1)),
        loss_in_chunks=True,
        shapes=((vocab_size, d_model),),
    )


def _all_logits(d_model: int, vocab_size: int, *saved: SavedTensor) -> ComponentCounts:
    """Count a head whose loss needs all logits at once."""
    plain = LinearHead(d_model=d_model, vocab_size=vocab_size)
    return dataclasses.replace(plain, saved=(*plain.saved, *saved), loss_in_chunks=False)


def SoftcapHead(*, d_model: int, vocab_size: int, cap: float = 30.0) -> ComponentCounts:
    """Count a plain head and the result of tanh."""
    del cap
    return _all_logits(d_model, vocab_size, SavedTensor("tanh", vocab_size, Kind.FLOAT32))


def ZLossHead(*, d_model: int, vocab_size: int, coefficient: float = 1e-4) -> ComponentCounts:
    """Count a plain head, its logits, and their normaliser."""
    del coefficient
    return _all_logits(
        d_model,
        vocab_size,
        SavedTensor("float32 logits", vocab_size, Kind.FLOAT32),
        SavedTensor("log of the sums", 1, Kind.FLOAT32),
    )
