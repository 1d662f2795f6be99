"""Byte-level byte-pair encoding: training, encoding and saving. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmlab.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lmlab.tokenizer.bpe_training import train_bpe

__all__ = ["Tokenizer", "train_bpe"]


def __getattr__(name: str) -> Any:
    """Import ``train_bpe`` on first use: most processes only encode."""
    if name != "train_bpe":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lmlab.tokenizer.bpe_training import train_bpe

    return train_bpe
