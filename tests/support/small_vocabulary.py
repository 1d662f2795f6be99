"""A vocabulary of two merges."""

from __future__ import annotations

from lmlab.tokenizer import Tokenizer

BYTES = {i: bytes([i]) for i in range(256)}


MERGES = [(b"a", b"b"), (b"ab", b"c")]


VOCAB = BYTES | {256: b"ab", 257: b"abc"}


def tokenizer(**changes: object) -> Tokenizer:
    arguments: dict[str, object] = {"vocab": VOCAB, "merges": MERGES, "special_tokens": ["<|x|>"]}
    return Tokenizer(**arguments | changes)  # type: ignore[arg-type]
