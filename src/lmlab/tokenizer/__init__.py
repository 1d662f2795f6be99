"""Byte-level byte-pair encoding: training, encoding, saving. No torch."""

from lmlab.tokenizer.tokenizer import Tokenizer
from lmlab.tokenizer.training import train_bpe

__all__ = ["Tokenizer", "train_bpe"]
